// What each map is worth to this answer: every one switched off by itself, and what that does to the answer's share.

import { json } from "./api.js";
import { h } from "./dom.js";
import { number } from "./format.js";
import { sentence } from "./problem.js";
import { row as takeRow } from "./take.js";
import { t } from "./texts.js";
import { query } from "./view.js";

const MOST = 1024; // maps: each is a pass through the network
const LISTED = 48; // of them, those that change the most

/** Whether a layer's maps can be ranked. */
export const possible = (layer) => layer.output[0] <= MOST && layer.output[0] > 1;

/** The place for a ranking of `layer`; `look()` is the present look, `choose` is told which map is wanted. */
export function lay(layer, look, choose) {
  const list = h("ol.ranks");
  const said = h("span.said.fine", { role: "status" });
  const button = h("button", { type: "button" }, t("rank.begin"));
  const ask = () => ({ body: look()?.body, query: query() });
  const node = h("div.ranking", {}, h("p", {}, button, " ", takeRow(t("rank.what", layer.name), path(layer), ask), " ", said), list);
  const clear = () => {
    list.replaceChildren();
    said.textContent = "";
  };
  button.addEventListener("click", async () => {
    const asked = look();
    if (!asked) return;
    button.disabled = true;
    list.replaceChildren();
    said.textContent = t("rank.wait", layer.output[0]);
    try {
      const { label, channels } = await json(path(layer), { method: "POST", ...ask(), signal: asked.signal });
      if (asked !== look()) return;
      const ranked = [...channels].sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
      const rest = ranked.slice(LISTED);
      said.textContent = [t("rank.said", label), rest.length && t("rank.rest", rest.length, points(Math.abs(rest[0].change)))].filter(Boolean).join(" ");
      list.replaceChildren(...ranked.slice(0, LISTED).map((effect) => item(effect, label, choose)));
    } catch (error) {
      said.textContent = error.name === "AbortError" ? "" : sentence(error);
    } finally {
      button.disabled = false;
      if (asked !== look()) clear();
    }
  });
  return { node, clear };
}

const path = (layer) => `layers/${encodeURIComponent(layer.name)}/effects`;

const points = (share) => number(share * 100);

/** One map, by how many points it changes the answer; and what the answer would be, where it would be another. */
function item({ channel, change, label }, winner, choose) {
  const text = t("rank.row", channel, `${change > 0 ? "+" : ""}${points(change)}`, label === winner ? null : label);
  const button = h("button.small", { type: "button", "data-channel": String(channel), "data-effect": String(change) }, text);
  button.classList.toggle("turns", label !== winner);
  button.addEventListener("click", () => choose({ channel }, false));
  return h("li", {}, button);
}
