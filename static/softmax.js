// The last step in numbers: named scores, their exponentials, and each one's share of all of them.

import { h } from "./dom.js";
import { exact, number, percent } from "./format.js";
import { t } from "./texts.js";

/** Scores to shares, as the server has them: the largest score is taken off first, which changes no share. */
export function shares(scores) {
  const most = Math.max(...scores);
  const powers = Array.from(scores, (score) => Math.exp(score - most));
  const all = powers.reduce((sum, power) => sum + power, 0);
  return { most, powers, all, shares: powers.map((power) => power / all) };
}

/** A table of it, with the server's own shares beside. */
export function table({ classes, scores, answer }) {
  const { most, powers, all, shares: own } = shares(scores);
  const rows = classes.map((name, i) =>
    h(
      "tr",
      { "data-share": String(own[i]), "data-told": String(answer.probabilities[name]) },
      h("th", { scope: "row" }, name),
      ...[exact(scores[i]), number(powers[i]), percent(own[i]), number(Math.abs(own[i] - answer.probabilities[name]))].map((text) => h("td", {}, text)),
    ),
  );
  const heads = ["class", "score", "power", "share", "difference"].map((name) => h("th", { scope: "col" }, t(`softmax.${name}`, number(most))));
  const sum = h("tr", {}, h("th", { scope: "row" }, t("softmax.all")), h("td"), h("td", {}, number(all)), h("td", {}, percent(1)), h("td"));
  return h(
    "div.softmax",
    {},
    h("h4", {}, t("softmax.title")),
    h("p.what", {}, t("softmax.lead", number(most))),
    h("div.scroll", { tabIndex: 0, role: "group", "aria-label": t("softmax.title") }, h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows, sum))),
  );
}
