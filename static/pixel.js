// One number, taken apart: what it is made of, added up again here, beside the value the server gives.

import { css, range, scaleOf } from "./colours.js";
import { $, grid, h } from "./dom.js";
import { brief, count, exact, number } from "./format.js";
import { fields, isFolded, named, source } from "./stages.js";
import { numbers } from "./strip.js";
import { at, explain, isFunction } from "./sums.js";
import { row } from "./take.js";
import { has, t } from "./texts.js";
import { view, which } from "./view.js";
import { parameters } from "./weights.js";

const BLOCKS = 3; // windows shown of many; the rest in one number
const TERMS = 8;
const LISTED = 4; // layers that a number depends on as a whole, by name
const WIDE = 8; // cells side by side, more of which a phone has to scroll
const COLOURS = ["red", "green", "blue"];

let drawn = 0;
let all = false;

/** Everything about the chosen number of `look` in `network`; `choose` is told where the steppers lead. */
export async function draw({ network, look }, choose) {
  const turn = ++drawn;
  const layer = named(network.layers, view.layer);
  const [own, learned, ...inputs] = await Promise.all([
    look.layer(layer.name),
    parameters(layer, view.channel),
    ...layer.inputs.map((name) => look.layer(name)),
  ]);
  if (turn !== drawn) return;
  const place = { layer, channel: view.channel, cell: view.cell };
  const made = explain({ ...place, inputs, learned });
  const value = at({ from: own, ...place });
  const sheet = $("pixel");
  const focused = sheet.contains(document.activeElement) ? document.activeElement.dataset.step : null;
  const filter = layer.parameters
    ? row(t("take.filter", layer.name, view.channel), `layers/${encodeURIComponent(layer.name)}/weights`, () => ({ query: { ...which(), channel: place.channel } }), ["npy"])
    : null;
  const next = await after(network, look, layer);
  if (turn !== drawn) return;
  sheet.replaceChildren(
    head(layer, choose, filter),
    h("p.made", {}, told(layer, inputs)),
    h("div.work", {}, ...work({ network, layer, made, inputs, redraw: () => draw({ network, look }, choose) })),
    h("div.foot", {}, proof(made, value, next), h("p.fine.depends", {}, depends(network, layer))),
  );
  if (focused) sheet.querySelector(`[data-step="${focused}"]`)?.focus();
}

/** Nothing of an older picture stays. */
export function clear() {
  drawn++;
  $("pixel").replaceChildren();
}

/** What is looked at, and the steps to another. */
function head(layer, choose, filter) {
  const [channels, height = 1, width = 1] = layer.output;
  const vector = height * width === 1;
  const step = (name, value, most, put) => {
    const input = h("input", { type: "number", min: 0, max: most - 1, value, "data-step": name });
    input.addEventListener("change", () => {
      const next = Math.max(0, Math.min(most - 1, Math.round(Number(input.value)) || 0));
      choose(put(next), false);
    });
    return h("label", {}, t(vector ? "pixel.index" : `pixel.${name}`), " ", input);
  };
  const steps = [step("channel", view.channel, channels, (channel) => ({ channel }))];
  if (!vector) {
    steps.push(step("row", view.cell[0], height, (y) => ({ cell: [y, view.cell[1]] })));
    steps.push(step("column", view.cell[1], width, (x) => ({ cell: [view.cell[0], x] })));
  }
  return h("div.pixel-head", {}, h("h2", { id: "pixel-title" }, t("pixel.title", layer.name)), ...steps, ...(filter ? [filter] : []));
}

/** How such a number comes about, in words. */
function told(layer, inputs) {
  const shifted = layer.inputs[0] === "input" && range(inputs[0].values)[0] < 0;
  const parts = [`pixel.made.${layer.kind}`, shifted && "pixel.made.input", layer.output.length > 1 && "pixel.move"];
  return parts.filter((key) => key && has(key)).map((key) => t(key)).join(" ");
}

function work({ network, layer, made, inputs, redraw }) {
  if (!made) return [h("p", {}, t("pixel.unknown", layer.kind))];
  if (made.blocks) return windows({ network, layer, made, inputs, redraw });
  if (made.terms) return products({ network, layer, made, redraw });
  return [h("p.steps", {}, t(`pixel.form.${made.form}`, layer.kind, made.steps.map(([name, value]) => [name, number(value)]), number(made.value)))];
}

/** Windows of the layer before, each beside the filter's part for it. */
function windows({ network, layer, made, inputs, redraw }) {
  const ranked = made.blocks.length <= BLOCKS ? made.blocks : [...made.blocks].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const shown = all ? ranked : ranked.slice(0, BLOCKS);
  const scale = scaleOf(inputs[0].values);
  const most = Math.max(...made.blocks.flatMap(({ cells }) => range(cells.map(({ w }) => w ?? 0)).map(Math.abs)));
  const weights = { low: -most, high: most, signed: true };
  const parts = shown.flatMap((block, i) => [i > 0 && made.form === "products" ? h("span.sign", {}, "+") : null, oneWindow({ network, layer, made, block, scale, weights })]);
  const rest = ranked.slice(BLOCKS);
  if (rest.length && !all) {
    const sum = rest.reduce((total, block) => total + block.sum, 0);
    parts.push(h("span.sign", {}, "+"), h("span.rest", {}, t("pixel.others", rest.length, number(sum))));
  }
  if (rest.length) parts.push(more(redraw));
  if (made.bias !== null) parts.push(h("span.sign", {}, "+"), h("span.rest", { title: exact(made.bias) }, t("pixel.bias", number(made.bias))));
  return parts.filter(Boolean);
}

function oneWindow({ network, layer, made, block, scale, weights }) {
  const name = channelName(network, origin(network, source(network, layer).name), block.channel);
  const cell = (value, colours, inside = true) => {
    const node = h(inside ? "span.cell" : "span.cell.outside", { title: inside ? exact(value) : t("pixel.padding") }, brief(value));
    if (!inside) return node;
    const { background, ink } = css(value, colours);
    Object.assign(node.style, { background, color: ink });
    return node;
  };
  const parts = [grid(block.side, block.cells.map(({ x, inside }) => cell(x, scale, inside)))];
  if (made.form === "products") {
    parts.push(h("span.sign", {}, "×"), grid(block.side, block.cells.map(({ w }) => cell(w, weights))));
    parts.push(h("span.sign", {}, "="), h("span.partial", { title: exact(block.sum) }, number(block.sum)));
  }
  const wide = block.side * (made.form === "products" ? 2 : 1) > WIDE;
  return h("span.window", {}, h("span.window-name", {}, made.form === "products" ? t("pixel.window", name) : name), h("span.window-row", wide ? { tabIndex: 0, role: "group", ariaLabel: name } : {}, parts));
}

/** The largest products of a fully connected layer, and the others in one number. */
function products({ network, layer, made, redraw }) {
  const ranked = [...made.terms].sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
  const most = all ? 64 : TERMS;
  const rest = ranked.slice(most).reduce((sum, { product }) => sum + product, 0);
  const from = source(network, layer).name;
  const rows = ranked.slice(0, most).map(({ index, x, w, product }) =>
    h("tr", {}, h("th", { scope: "row" }, `${from} ${index}`), ...[`${number(x)} × ${number(w)}`, number(product)].map((text) => h("td", {}, text))),
  );
  const others = ranked.length - Math.min(most, ranked.length);
  if (others) rows.push(h("tr", {}, h("th", { scope: "row" }, t("pixel.others.together", count(others))), h("td"), h("td", {}, number(rest))));
  if (made.bias !== null) rows.push(h("tr", {}, h("th", { scope: "row" }, t("pixel.bias.name")), h("td"), h("td", { title: exact(made.bias) }, number(made.bias))));
  return [h("table.terms", {}, h("caption.unseen", {}, t("pixel.terms")), h("tbody", {}, rows)), ranked.length > TERMS ? more(redraw) : null].filter(Boolean);
}

function more(redraw) {
  const button = h("button.small", { type: "button", "aria-expanded": String(all), "data-step": "more" }, t(all ? "pixel.fewer" : "pixel.more"));
  button.addEventListener("click", () => {
    all = !all;
    redraw();
  });
  return button;
}

/** The sum here, the value there, their difference, and what becomes of it. */
function proof(made, value, after) {
  const told = [];
  if (made) {
    told.push(h("b.sum", { "data-sum": String(made.value) }, `= ${exact(Math.fround(made.value))}`));
    told.push(h("span.server", { "data-value": String(value) }, t("pixel.server", exact(value), number(Math.abs(made.value - value)))));
  } else told.push(h("b.sum", {}, `= ${exact(value)}`));
  for (const { what, value } of after) told.push(h("span.then", {}, t("pixel.then", what, value)));
  return h("p.proof", { "aria-live": "polite" }, told.flatMap((part) => [part, " "]));
}

/** The bends and scalings that follow, and a pool after them: `{ what, value }` each, up to the next layer that makes something new. */
async function after(network, look, layer) {
  const found = [];
  const value = async (name, cell) => at({ from: await look.layer(name), channel: view.channel, cell });
  let [name, now] = [layer.name, null];
  for (const next of network.layers.slice(network.layers.indexOf(layer) + 1)) {
    if (next.inputs[0] !== name) break;
    if (isFunction(next.kind) || next.kind === "batch_norm2d") {
      now = await value(next.name, view.cell);
      found.push({ what: t(`brief.${next.kind}`), value: number(now) });
    } else if (next.kind === "max_pool2d" || next.kind === "avg_pool2d") {
      const cell = pooled(next, view.cell);
      if (!cell) break;
      const pool = await value(next.name, cell);
      const same = next.kind === "max_pool2d" && pool !== 0 && pool === (now ?? (await value(layer.name, view.cell)));
      found.push({ what: t(`how.${next.kind}`, numbers(network, next)), value: same ? t("pixel.kept", number(pool)) : number(pool) });
      break;
    } else if (next.kind !== "dropout") break;
    name = next.name;
  }
  return found;
}

/** The cell of a pool's output whose window has `cell` in it; none where it steps over that. */
function pooled({ output: [, height, width], kernel_size: size, stride, padding = 0 }, cell) {
  const step = stride ?? size;
  const to = cell.map((place, i) => Math.min(Math.floor((place + padding) / step), [height, width][i] - 1));
  return to.every((out, i) => cell[i] < out * step - padding + size) ? to : null;
}

/** How much of the picture, and of every layer that makes something new, the number depends on. */
function depends(network, layer) {
  const [y, x] = view.cell;
  const found = [...fields(network, layer, { top: y, left: x, bottom: y, right: x })];
  const parts = found
    .filter(([name]) => name !== layer.name && (name === "input" || !isFolded(named(network.layers, name))))
    .map(([name, { top, left, bottom, right }]) => {
      const { output } = named(network.layers, name) ?? { output: [0, network.input.height, network.input.width] };
      const [, height = 1, width = 1] = output;
      const called = name === "input" ? t("pixel.picture") : name;
      const whole = bottom - top + 1 >= height && right - left + 1 >= width;
      return { whole: whole && name !== "input", said: whole ? t("pixel.all", called) : t("pixel.part", called, bottom - top + 1, right - left + 1) };
    });
  // A deep network's last layers depend on all of very many.
  const wholes = parts.filter(({ whole }) => whole).length;
  const listed = wholes > LISTED ? parts.filter(({ whole }) => !whole) : parts;
  const said = [...(wholes > LISTED ? [t("pixel.all.layers", wholes)] : []), ...listed.map((part) => part.said)];
  return t("pixel.depends", said.join(t("comma")));
}

/** The layer that made what `name` gives: what changes nothing is looked through. */
function origin(network, name) {
  const layer = named(network.layers, name);
  return layer?.kind === "dropout" ? origin(network, layer.inputs[0]) : name;
}

/** What a channel is called: the picture's are colours. */
export function channelName(network, layer, channel) {
  if (layer !== "input") return t("channel.of", layer, channel);
  const { channels } = network.input;
  return channels === 3 ? t(`colour.${COLOURS[channel]}`) : channels === 1 ? t("colour.grey") : t("channel", channel);
}
