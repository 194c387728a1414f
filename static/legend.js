// What colours mean: the colour map with its ends.

import { h } from "./dom.js";
import { number } from "./format.js";
import { t } from "./texts.js";

/** The ends of `scale` with the colours between them; null stands for a scale of each map's own, said in few words where it is `small`. */
export function legend(scale, small = false) {
  const bar = h(`span.scale.${scale?.signed ? "signed" : "positive"}`);
  if (!scale && small) return [bar, h("span", {}, t("legend.own"))];
  const [low, high] = scale ? [number(scale.low), number(scale.high)] : [t("legend.own.low"), t("legend.own.high")];
  return [h("span", {}, low), bar, h("span", {}, high)];
}
