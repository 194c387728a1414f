// Which models there are, and the network of one. What an address asks for may be gone, or too new for the list.

import { json } from "./api.js";

const FIRST = "tutorial"; // whichever the server answers with where none is named
const GONE = "unknown_model";

/** Every model, and the one called `name`; where that is gone, or none is named, another in its place. */
export async function find(name, signal) {
  const all = await known(name, signal);
  const called = (wanted) => all.find((each) => each.name === wanted);
  return { all, model: called(name) ?? called(FIRST) ?? all.find((each) => each.default) ?? all[0] };
}

/** The list may be a moment old: a name that is not in it is asked for, so that the server looks again. */
async function known(name, signal) {
  const list = async () => (await json("models", { signal })).models;
  const found = await list();
  if (!name || found.some((each) => each.name === name)) return found;
  await json("layers", { query: { model: name }, signal }).catch((error) => {
    if (error.code !== GONE) throw error;
  });
  return list();
}

/** The network of `model` at `version`; at the active one, null, where that is gone. */
export async function reach({ name }, version, signal) {
  const ask = (number) => json("layers", { query: { model: name, version: number }, signal });
  try {
    return { network: await ask(version), version };
  } catch (error) {
    if (version === null || error.code !== GONE) throw error;
    return { network: await ask(null), version: null };
  }
}
