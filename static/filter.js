// What the chosen channel has learned: its filter as numbers on their colours, the first layer's also as the colours it looks for.

import { css, range } from "./colours.js";
import { grid, h } from "./dom.js";
import { brief, exact, number } from "./format.js";
import { paint, vectorColumns } from "./maps.js";
import { channelName } from "./pixel.js";
import { source } from "./stages.js";
import { t } from "./texts.js";
import { parameters } from "./weights.js";

const WITH_NUMBERS = 40; // planes that are written out; of more, only the colours
let drawn = 0;
let shown = "";

/** Draws it into `place`; what did not change is left alone. */
export async function draw(place, { network, layer, channel }) {
  const turn = ++drawn;
  const key = [network.model.name, network.model.version, layer.name, channel, document.documentElement.lang].join("\n");
  if (shown === key && place.childElementCount) return;
  const { weight } = ["conv2d", "linear"].includes(layer.kind) ? await parameters(layer, channel) : {};
  if (turn !== drawn) return;
  shown = key;
  if (!weight) return place.replaceChildren();
  const [low, high] = range(weight);
  const most = Math.max(Math.abs(low), Math.abs(high));
  const scale = { low: -most, high: most, signed: true };
  const title = t(layer.kind === "conv2d" ? "filter.title" : "filter.row", layer.name, channel);
  const made = layer.kind === "conv2d" ? planes({ network, layer, weight, scale }) : [sheet(weight, scale)];
  place.replaceChildren(h("h4", {}, title), h("p.fine", {}, t("filter.facts", weight.length, number(low), number(high))), h("div.planes", {}, made));
}

/** A plane of the filter for every map it reads. */
function planes({ network, layer, weight, scale }) {
  const side = layer.kernel_size;
  const size = side * side;
  const from = source(network, layer).name;
  const depth = weight.length / size;
  const cells = (plane) => {
    const written = depth <= WITH_NUMBERS && side <= 7;
    return Array.from(weight.subarray(plane * size, (plane + 1) * size), (w) => {
      const node = h("span.cell", { title: exact(w) }, written ? brief(w) : "");
      const { background, ink } = css(w, scale);
      Object.assign(node.style, { background, color: ink });
      return node;
    });
  };
  const made = Array.from({ length: depth }, (_, plane) => {
    return h("span.window", {}, h("span.window-name", {}, from === "input" ? channelName(network, from, plane) : String(plane)), grid(side, cells(plane)));
  });
  return from === "input" && depth === 3 ? [rgb(weight, side), ...made] : made;
}

/** Red, green and blue together: grey is 0, and a colour is what the filter answers to. */
function rgb(weight, side) {
  const size = side * side;
  const most = Math.max(...range(weight).map(Math.abs)) || 1;
  const canvas = h("canvas.swatch", { role: "img", "aria-label": t("filter.rgb") });
  Object.assign(canvas, { width: side, height: side });
  const image = new ImageData(side, side);
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) image.data[i * 4 + c] = Math.round(127.5 * (1 + weight[c * size + i] / most));
    image.data[i * 4 + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return h("span.window", {}, h("span.window-name", {}, t("filter.rgb")), canvas);
}

/** A row of thousands of weights, a cell each. */
function sheet(weight, scale) {
  const columns = vectorColumns(weight.length);
  const canvas = h("canvas.sheet", { role: "img", "aria-label": t("filter.facts", weight.length, number(-scale.high), number(scale.high)) });
  Object.assign(canvas, { width: columns, height: Math.ceil(weight.length / columns) });
  paint(canvas, { values: weight, width: canvas.width, height: canvas.height }, scale);
  return canvas;
}
