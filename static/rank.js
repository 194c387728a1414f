// What each map is worth to this answer: every one switched off by itself, and what that does to the answer's share.

import { json } from "./api.js";
import { h } from "./dom.js";
import { number } from "./format.js";
import { sentence } from "./problem.js";
import { t } from "./texts.js";
import { maskText, query, switched } from "./view.js";

const MOST = 64; // maps: each is a question to the server
const AT_ONCE = 4;

/** Whether a layer's maps can be ranked. */
export const possible = (layer) => layer.output[0] <= MOST && layer.output[0] > 1;

/** The place for a ranking of `layer`; `look()` is the present look, `choose` is told which map is wanted. */
export function lay(layer, look, choose) {
  const list = h("ol.ranks");
  const said = h("span.said.fine", { role: "status" });
  const button = h("button", { type: "button" }, t("rank.begin"));
  const node = h("div.ranking", {}, h("p", {}, button, " ", said), list);
  button.addEventListener("click", async () => {
    if (!look()) return;
    button.disabled = true;
    list.replaceChildren();
    try {
      const { label, effects } = await rank(layer, look(), (done) => (said.textContent = t("rank.done", done, layer.output[0])));
      said.textContent = t("rank.said", label);
      list.replaceChildren(...effects.map(({ channel, effect }) => row(channel, effect, choose)));
    } catch (error) {
      said.textContent = error.name === "AbortError" ? "" : sentence(error);
    }
    button.disabled = false;
  });
  const clear = () => {
    list.replaceChildren();
    said.textContent = "";
  };
  return { node, clear };
}

/** The effect of every channel on the share of what is answered, the strongest first. */
async function rank(layer, look, tell) {
  const { label, probability } = await look.answer();
  const asked = { ...query() };
  const masks = Array.from({ length: layer.output[0] }, (_, channel) => maskText(switched(layer.name, channel)));
  const effects = [];
  let next = 0;
  const work = async () => {
    while (next < masks.length) {
      const channel = next++;
      const told = await json("classify", { method: "POST", body: look.body, query: { ...asked, mask: masks[channel] }, signal: look.signal });
      effects.push({ channel, effect: told.probabilities[label] - probability });
      tell(effects.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { label, effects: effects.sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)) };
}

function row(channel, effect, choose) {
  const points = `${effect > 0 ? "+" : ""}${number(effect * 100)}`;
  const button = h("button.small", { type: "button", "data-channel": String(channel), "data-effect": String(effect) }, t("rank.row", channel, points));
  button.addEventListener("click", () => choose({ channel }, false));
  return h("li", {}, button);
}
