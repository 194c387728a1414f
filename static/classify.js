// The answer: one bar a class, in class order, so that two pictures can be compared by eye.

import { json } from "./api.js";
import { $, h } from "./dom.js";
import { duration, percent } from "./format.js";

const MOST = 20;

/** Classifies `picture` and shows every probability. */
export async function classify(picture, { model, signal }) {
  const answer = await json("classify", { method: "POST", body: picture, query: { model }, signal });
  $("label").replaceChildren(h("b", {}, answer.label), ` ${percent(answer.probability)}`);
  bars(shown(answer), answer.label);
  const { decode, queue, inference } = answer.timing_ms;
  $("timing").textContent =
    `${answer.model.name}, version ${answer.model.version} · decoding ${duration(decode)}, waiting ${duration(queue)}, network ${duration(inference)}`;
}

/** All classes in their order; of very many, the most probable. */
function shown(answer) {
  const all = Object.entries(answer.probabilities);
  return all.length <= MOST ? all : all.sort((a, b) => b[1] - a[1]).slice(0, MOST);
}

/** Rows are kept from picture to picture, so that a bar moves from its old length to its new one. */
function bars(classes, winner) {
  const list = $("bars");
  const names = [...list.children].map((row) => row.dataset.name);
  if (names.join() !== classes.map(([name]) => name).join()) list.replaceChildren(...classes.map(([name]) => row(name)));
  classes.forEach(([name, probability], i) => {
    const bar = list.children[i];
    bar.classList.toggle("best", name === winner);
    bar.querySelector(".fill").style.transform = `scaleX(${probability})`;
    bar.querySelector(".value").textContent = percent(probability);
  });
}

const row = (name) =>
  h("li", { "data-name": name }, h("span.name", {}, name), h("span.track", {}, h("span.fill")), h("span.value"));
