// The page: one model, one picture, and everything else follows from the two.

import { blob, json, token } from "./api.js";
import { classify } from "./classify.js";
import { $, h, showBlob, showProblem } from "./dom.js";
import { percent, count } from "./format.js";
import * as layers from "./layers.js";
import * as picture from "./picture.js";
import * as train from "./train.js";

const FIRST_MODEL = "tutorial";

const chosen = { model: "", picture: null };

/** Each call gives up what the one before it began. */
function latest() {
  let work = new AbortController();
  return () => {
    work.abort();
    work = new AbortController();
    return work.signal;
  };
}
const newest = { picture: latest(), model: latest() };

const problem = (error) => showProblem($("problem"), error);

/** Runs `task` and shows the sentence of what stopped it; giving up in favour of newer work is no problem. */
async function guard(task) {
  try {
    problem(null);
    await task();
  } catch (error) {
    if (error.name !== "AbortError") problem(error);
  }
}

/** Everything the page knows of the chosen picture, by the chosen model. */
async function look() {
  if (!chosen.picture) return;
  const ask = { model: chosen.model, signal: newest.picture() };
  const [seen] = await Promise.all([see(ask), classify(chosen.picture, ask)]);
  // Already at the network's size, it passes preprocessing unchanged: a large photo crosses the wire twice, not once a layer.
  layers.show(seen, ask);
}

async function see({ model, signal }) {
  const seen = await blob("featuremaps/input", { method: "POST", body: chosen.picture, query: { model, format: "png" }, signal });
  await showBlob($("seen"), seen);
  const { naturalWidth: width, naturalHeight: height } = $("seen");
  $("seen-note").textContent = ` ${width} × ${height}`;
  $("seen").alt = `The picture at the network’s ${width} × ${height} pixels`;
  return seen;
}

function choose(file, name) {
  chosen.picture = file;
  guard(async () => {
    await Promise.all([given(file, name), look()]);
  });
}

async function given(file, name) {
  const image = $("given");
  image.alt = name;
  await showBlob(image, file).catch(() => (image.hidden = true)); // the server says what is wrong with it
  const { naturalWidth: width, naturalHeight: height } = image;
  image.classList.toggle("pixels", width < 200);
  $("given-note").textContent = image.hidden ? "" : ` ${width} × ${height}`;
}

async function listModels(signal) {
  const { models } = await json("models", { signal });
  $("model").replaceChildren(...models.map(({ name }) => h("option", { value: name }, name)));
  $("model").disabled = models.length < 2;
  return models;
}

async function useModel(name) {
  const signal = newest.model();
  const models = await listModels(signal);
  const model = models.find((each) => each.name === name) ?? models[0];
  if (!model) throw new Error("The server has no model yet: train one below, or put a .safetensors file into its models folder.");
  chosen.model = model.name;
  $("model").value = model.name;
  $("limits").textContent = limits(model);
  await layers.layOut(model.name, signal);
  await look();
}

function limits({ classes, accuracy, name }) {
  const measured = accuracy ? ` It was right on ${percent(accuracy.accuracy)} of ${count(accuracy.images)} test pictures.` : "";
  return `${name} knows ${classes.length} things: ${classes.join(", ")}. It answers with one of them whatever the picture shows.${measured}`;
}

token.adopt();
$("model").addEventListener("change", () => guard(() => useModel($("model").value)));
guard(() => useModel(FIRST_MODEL).finally(() => picture.listen(choose, problem)));
train.prepare((name) => {
  $("picture").scrollIntoView();
  guard(() => useModel(name));
});
