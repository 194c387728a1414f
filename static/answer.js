// The answer: one bar a class, in the model's own order, so that two pictures can be compared by eye.

import { $, h } from "./dom.js";
import { percent } from "./format.js";
import { t } from "./texts.js";

const MOST = 20;
// Shares of test pictures that looked stranger, below which a picture is like none of them, and below which it is rare.
const LIKE_NOTHING = 0.01;
const RARE = 0.05;

/**
 * Shows `answer`; `classes` in their order, `scores` beside them, how it was (`before`) if something was covered or switched off, and
 * what the picture really shows (`truth`) where that is known.
 */
export function draw({ answer, classes, scores, before, truth }) {
  $("label").replaceChildren(h("b", {}, answer.label), `${t("answer.also", answer.label)} ${percent(answer.probability)}`);
  const rows = classes.map((name, i) => ({ name, share: answer.probabilities[name], score: scores[i], was: before?.probabilities[name] }));
  // Of very many, the most probable.
  bars(rows.length <= MOST ? rows : rows.sort((a, b) => b.share - a.share).slice(0, MOST), answer.label);
  const isWrong = classes.includes(truth) && truth !== answer.label;
  $("wrong").textContent = isWrong ? t("answer.wrong", truth) : "";
  for (const bar of $("bars").children) bar.classList.toggle("missed", isWrong && bar.dataset.name === truth);
  familiar(answer.familiarity);
}

/** How ordinary the picture is to the network, where its answer tells; `share` of its test pictures looked stranger. */
function familiar(share) {
  const told = typeof share === "number";
  const kind = share < LIKE_NOTHING ? ".none" : share < RARE ? ".rare" : "";
  $("familiarity").hidden = !told;
  $("familiarity").textContent = told ? t(`familiarity${kind}`, percent(share)) : "";
  $("familiarity").classList.toggle("strange", told && kind !== "");
}

/** Nothing of an older picture stays. */
export function clear() {
  $("label").replaceChildren();
  $("wrong").textContent = "";
  $("familiarity").hidden = true;
  for (const bar of $("bars").children) {
    bar.classList.remove("best", "missed");
    bar.querySelector(".fill").style.transform = "scaleX(0)";
    bar.querySelector(".was").hidden = true;
    for (const part of [".value", ".score"]) bar.querySelector(part).textContent = "";
  }
}

/** Empty rows, so that nothing moves when the answer comes. */
export function lay(classes) {
  $("bars").replaceChildren(...classes.slice(0, MOST).map((name) => row(name)));
}

/** Rows are kept from picture to picture, so that a bar moves from its old length to its new one. */
function bars(rows, winner) {
  const list = $("bars");
  const names = [...list.children].map((bar) => bar.dataset.name);
  if (names.join("\n") !== rows.map(({ name }) => name).join("\n")) list.replaceChildren(...rows.map(({ name }) => row(name)));
  rows.forEach(({ name, share, score, was }, i) => {
    const bar = list.children[i];
    bar.classList.toggle("best", name === winner);
    bar.querySelector(".fill").style.transform = `scaleX(${share})`;
    bar.querySelector(".value").textContent = percent(share);
    bar.querySelector(".score").textContent = score == null ? "" : score.toFixed(2).replace("-", "−");
    const mark = bar.querySelector(".was");
    mark.hidden = was == null;
    if (was != null) mark.style.left = `${was * 100}%`;
    mark.title = was == null ? "" : t("answer.was", percent(was));
  });
}

const row = (name) =>
  h(
    "li",
    { "data-name": name },
    h("span.name", { title: `${name}${t("answer.also", name)}` }, name),
    h("span.score"),
    h("span.track", {}, h("span.fill"), h("i.was", { hidden: true })),
    h("span.value"),
  );
