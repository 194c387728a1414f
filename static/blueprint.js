// The network as PyTorch writes it, made from the layer list: a class, each of its lines tied to what it builds or does.

import { copy } from "./take.js";
import { $, h } from "./dom.js";
import { count, shape } from "./format.js";
import { source } from "./stages.js";
import { has, t } from "./texts.js";
import { numbers } from "./strip.js";

const MODULES = {
  conv2d: (layer, [depth]) => [
    "Conv2d",
    [depth, layer.out_channels],
    { kernel_size: layer.kernel_size, stride: or(layer.stride, 1), padding: or(layer.padding, 0), dilation: or(layer.dilation, 1), groups: or(layer.groups, 1), bias: layer.bias === false ? "False" : null },
  ],
  batch_norm2d: (layer, [depth]) => ["BatchNorm2d", [depth], { eps: or(layer.eps, 1e-5), momentum: or(layer.momentum, 0.1) }],
  relu: () => ["ReLU", []],
  leaky_relu: (layer) => ["LeakyReLU", [], { negative_slope: or(layer.negative_slope, 0.01) }],
  gelu: () => ["GELU", []],
  silu: () => ["SiLU", []],
  tanh: () => ["Tanh", []],
  sigmoid: () => ["Sigmoid", []],
  max_pool2d: (layer) => ["MaxPool2d", [layer.kernel_size], { stride: or(layer.stride, null), padding: or(layer.padding, 0) }],
  avg_pool2d: (layer) => ["AvgPool2d", [layer.kernel_size], { stride: or(layer.stride, null), padding: or(layer.padding, 0) }],
  adaptive_avg_pool2d: (layer) => ["AdaptiveAvgPool2d", [layer.output_size]],
  dropout: (layer) => ["Dropout", [layer.p]],
  flatten: () => ["Flatten", []],
  linear: (layer, [depth]) => ["Linear", [depth, layer.out_features], { bias: layer.bias === false ? "False" : null }],
};

/** An argument is written only where it is not PyTorch's own. */
const or = (value, usual) => (value == null || value === usual ? null : value);

/** `[{ code, about, layer }]`: the class of `network`, line by line. `about` names what is said of a line. */
export function lines(network) {
  const made = [{ code: "import torch" }, { code: "from torch import nn" }, { code: "" }];
  made.push({ code: `class ${className(network)}(nn.Module):`, about: "class" });
  made.push({ code: "    def __init__(self):", about: "init" }, { code: "        super().__init__()", about: "super" });
  for (const layer of network.layers) {
    if (layer.kind === "add") continue; // a plus sign, in forward
    made.push({ code: `        self.${layer.name} = nn.${construction(network, layer)}`, about: "layer", layer });
  }
  made.push({ code: "" }, { code: "    def forward(self, x):", about: "forward" });
  made.push(...forward(network), { code: "        return x", about: "return" });
  return made;
}

/** A name such as Python's classes have. */
const className = ({ layers, model }) => {
  const words = model.name.replace(/[^A-Za-z0-9]+/g, " ").trim().split(" ");
  const name = words.map((word) => word[0].toUpperCase() + word.slice(1)).join("");
  return layers.length && /^[A-Za-z]/.test(name) ? name : `Network${name}`;
};

function construction(network, layer) {
  const [name, positional, named = {}] = MODULES[layer.kind]?.(layer, source(network, layer).shape) ?? ["Identity", []];
  const given = Object.entries(named).filter(([, value]) => value !== null);
  return `${name}(${[...positional, ...given.map(([key, value]) => `${key}=${value}`)].join(", ")})`;
}

/** One line a layer; what a later layer reads again is kept under its own name. */
function forward(network) {
  const { layers } = network;
  const before = (i) => (i ? layers[i - 1].name : "input");
  const again = new Set(layers.flatMap((layer, i) => layer.inputs.filter((name) => name !== before(i))));
  const variable = (name, i) => (name === before(i) ? "x" : name === "input" ? "image" : name);
  const made = again.has("input") ? [{ code: "        image = x" }] : [];
  layers.forEach((layer, i) => {
    const from = layer.inputs.map((name) => variable(name, i));
    const value = layer.kind === "add" ? from.join(" + ") : `self.${layer.name}(${from[0]})`;
    made.push({ code: `        x = ${again.has(layer.name) ? `${layer.name} = ` : ""}${value}`, about: "step", layer });
  });
  return made;
}

/** The whole text. */
export const text = (network) => `${lines(network).map(({ code }) => code).join("\n")}\n`;

/** Draws it; `choose` is told of a line that is pressed, `point` of one that is pointed at. */
export function lay(network, choose, point) {
  const all = lines(network);
  const told = h("div.told", { role: "status" });
  let pointed = null;
  const tell = (line) => {
    pointed = line;
    nodes.forEach(({ firstChild }, i) => firstChild.classList.toggle("explained", all[i] === line));
    told.replaceChildren(...about(network, line));
    point(line.layer?.name ?? null);
  };
  const nodes = all.map((line) => {
    if (!line.about) return h("li", {}, h("code", {}, line.code || " "));
    const button = h("button.line", { type: "button", "data-layer": line.layer?.name ?? "" }, h("code", {}, line.code), line.about === "layer" ? h("span.sums", {}, made(network, line.layer)) : null);
    // A page that scrolls beneath a resting pointer points at nothing.
    button.addEventListener("pointermove", ({ movementX, movementY }) => (movementX || movementY) && pointed !== line && tell(line));
    button.addEventListener("focus", () => tell(line));
    button.addEventListener("click", () => (line.layer ? choose({ layer: line.layer.name }, false) : tell(line)));
    return h("li", {}, button);
  });
  const said = h("span.said", { role: "status" });
  const copying = h("button", { type: "button", id: "class-copy" }, t("class.copy"));
  copying.addEventListener("click", async () => (said.textContent = t(await copy(text(network)))));
  $("class").replaceChildren(
    h("ol.code", {}, nodes),
    h("div.aside", {}, told, h("p", {}, copying, " ", said), h("details", {}, h("summary", {}, t("class.what")), t("class.story").map((part) => h("p", {}, part)))),
  );
  tell(all.find(({ about }) => about === "class"));
}

/** Marks the lines of the layer that is looked at. */
export function mark(name) {
  for (const line of $("class").querySelectorAll(".line")) line.classList.toggle("lit", line.dataset.layer === name);
}

/** A layer's shape and the sum of its parameters, beside its line. */
function made(network, layer) {
  const parts = [`→ ${shape(layer.output)}`];
  if (layer.parameters) parts.push(`${sum(network, layer)} = ${t("class.parameters", layer.parameters)}`);
  return parts.join(t("comma"));
}

/** Where a layer's number of parameters comes from. */
function sum(network, layer) {
  const { depth, before } = numbers(network, layer);
  const bias = (n) => (layer.bias === false ? "" : ` + ${count(n)}`);
  if (layer.kind === "conv2d") return `${layer.kernel_size}·${layer.kernel_size}·${depth}·${layer.out_channels}${bias(layer.out_channels)}`;
  if (layer.kind === "linear") return `${before.length === 3 ? `(${before.join("·")})` : count(before[0])}·${layer.out_features}${bias(layer.out_features)}`;
  return `2·${layer.output[0]}`;
}

/** What is said of a line. */
function about(network, { about: what, layer }) {
  const parts = [h("p", {}, t(`class.about.${what}`, layer?.name))];
  if (!layer) return parts;
  if (has(`what.${layer.kind}`)) parts.push(h("p", {}, t(`what.${layer.kind}`)));
  if (layer.kind === "linear" && numbers(network, layer).before.length === 3) {
    const { before } = numbers(network, layer);
    parts.push(h("p", {}, t("class.flat", before, layer.out_features)));
  }
  return parts;
}
