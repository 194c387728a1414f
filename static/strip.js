// The strip: the photo, what the network gets of it, a small grid a stage, each with what happens before it in numbers.

import { ownScale, scaleOf } from "./colours.js";
import { $, h } from "./dom.js";
import { shape } from "./format.js";
import { legend } from "./legend.js";
import { enlarge, isVector, paint, paintGrid, place, vectorColumns } from "./maps.js";
import { fields, isIdle, named, source, stages } from "./stages.js";
import { t } from "./texts.js";
import { view } from "./view.js";

const BUDGET = 136; // cells a row, from which the columns of a grid follow
const NARROW = matchMedia("(max-width: 40rem)"); // stages below each other, each as wide as the screen
const SHOWN = 32; // maps of a stage that has more; all of them are below
const SMALL = 64; // the same of maps that are small
const VECTOR = 96; // CSS pixels

let columns = [];
let shown = null;

/** Lays out the stages of `network`, empty. `choose({ layer, channel, cell })` is told where someone points, `opens` too if it was a press. */
export function lay(network, choose) {
  const all = stages(network.layers);
  columns = all.slice(0, -1).map((stage, i) => column(network, stage, all[i - 1], choose));
  $("stages").replaceChildren(...columns.map(({ node }) => node));
  retell(network);
  fade();
}

/** Calls `again` when the grids need another number of columns; from now on, its ends fade where more is to be seen. */
export function watch(again) {
  NARROW.addEventListener("change", again);
  $("stages").addEventListener("scroll", fade, { passive: true });
  new ResizeObserver(fade).observe($("stages"));
}

/** Says everything again, in another language. */
export function retell(network) {
  const all = stages(network.layers);
  for (const [i, { stage, how, button, caption }] of columns.entries()) {
    how.textContent = arrow(network, stage, all[i - 1]);
    button.setAttribute("aria-label", t("stage.open", stage.head.name, shape(stage.head.output)));
    caption.replaceChildren(h("b", {}, stage.head.name), ` ${shape(stage.head.output)}`);
  }
  const last = all.at(-1);
  $("answer-how").textContent = `→ ${t("how.answer", t(`how.${last.head.kind}`, numbers(network, last.head)))}`;
}

/** What happens between a stage and the one before it. */
function arrow(network, { head }, before) {
  const folded = (before?.folded ?? []).filter(({ kind }) => t(`brief.${kind}`) !== `brief.${kind}`).map(({ kind }) => t(`brief.${kind}`));
  return `→ ${[...folded, t(`how.${head.kind}`, numbers(network, head))].join(t("comma"))}`;
}

/** A layer's arguments and the number of channels it reads. */
export function numbers(network, layer) {
  const { shape } = source(network, layer);
  let { name } = source(network, layer);
  // What changes nothing is looked through: 8192 numbers were 32 maps of 16 × 16.
  for (let before = named(network.layers, name); before && isIdle(before); before = named(network.layers, name)) name = before.inputs[0];
  const before = named(network.layers, name)?.output ?? shape;
  return { ...layer, depth: shape[0] / (layer.groups ?? 1), size: layer.kernel_size, before, from: layer.inputs };
}

function column(network, stage, before, choose) {
  const { head } = stage;
  const canvas = h("canvas");
  const marks = h("canvas.marks");
  const pulse = h("i.pulse", { hidden: true });
  const button = h("button.open", { type: "button", "aria-controls": "opened" }, h("span.plate", {}, canvas, marks, pulse));
  const how = h("p.how");
  const caption = h("p.caption");
  const key = h("p.legend.mini");
  const vector = isVector(head.output);
  const grid = vector ? { columns: vectorColumns(head.output[0]), shown: head.output[0] } : layout(head.output);
  const [, height, width] = vector ? [1, Math.ceil(head.output[0] / grid.columns), grid.columns] : head.output;
  canvas.width = vector ? width : grid.columns * (width + 1) - 1;
  canvas.height = vector ? height : Math.ceil(grid.shown / grid.columns) * (height + 1) - 1;
  enlarge(canvas, vector ? VECTOR : (NARROW.matches ? 2 : 1) * BUDGET);
  if (vector) button.classList.add("vector");
  const made = { stage, node: h("li.part.stage", {}, how, button, caption, key), how, key, button, caption, canvas, marks, pulse, grid, vector };
  button.addEventListener("click", (event) => choose({ layer: head.name, ...(event.detail ? under(made, event) : {}) }, true));
  button.addEventListener("pointermove", (event) => {
    if (view.layer === head.name && event.pointerType === "mouse") choose(under(made, event), false);
  });
  return made;
}

/** As many maps a row as fit; of many, the first. */
function layout([channels, , width]) {
  const shown = Math.min(channels, width > 16 ? SHOWN : SMALL);
  return { columns: Math.max(1, Math.min(shown, Math.floor(((NARROW.matches ? 2 : 1) * BUDGET + 1) / (width + 1)))), shown };
}

/** The channel and cell under the pointer. */
function under({ canvas, grid, vector, stage }, event) {
  const box = canvas.getBoundingClientRect();
  const at = (share, cells) => Math.max(0, Math.min(cells - 1, Math.floor(share * cells)));
  const x = at((event.clientX - box.left) / box.width, canvas.width);
  const y = at((event.clientY - box.top) / box.height, canvas.height);
  if (vector) return { channel: Math.min(y * grid.columns + x, stage.head.output[0] - 1), cell: [0, 0] };
  const [, height, width] = stage.head.output;
  const channel = Math.floor(y / (height + 1)) * grid.columns + Math.floor(x / (width + 1));
  return { channel: Math.min(channel, grid.shown - 1), cell: [Math.min(y % (height + 1), height - 1), Math.min(x % (width + 1), width - 1)] };
}

/** Rings the stage that a layer belongs to, while someone points at its line of the class; null rings none. */
export function ring(network, name) {
  const at = stages(network.layers).findIndex(({ head, folded }) => [head, ...folded].some((layer) => layer.name === name));
  columns.forEach(({ node }, i) => node.classList.toggle("pointed", i === at));
  $("bars").parentNode.classList.toggle("pointed", at >= columns.length);
}

/** The layers it shows. */
export const names = () => columns.map(({ stage }) => stage.head.name);

/** Paints every stage with what `look` found. */
export async function draw(look) {
  const found = await Promise.all(columns.map(({ stage }) => look.layer(stage.head.name)));
  columns.forEach((column, i) => fill(column, found[i]));
}

function fill({ canvas, grid, vector, key }, { values, shape: dims }) {
  const size = vector ? 1 : dims[1] * dims[2];
  const one = scaleOf(values);
  const scale = view.scale === "layer" ? () => one : (channel) => ownScale(values, channel * size, (channel + 1) * size);
  key.replaceChildren(...legend(vector || view.scale === "layer" ? one : null, true));
  if (vector) paint(canvas, { values, width: grid.columns, height: Math.ceil(values.length / grid.columns) }, scaleOf(values));
  else paintGrid(canvas, { values, shape: dims }, grid, scale);
}

/** Nothing of an older picture stays. */
export function clear() {
  for (const { canvas, pulse, key } of columns) {
    key.replaceChildren();
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    pulse.hidden = true;
  }
}

/** Marks the chosen number where it lies, and in all that comes before it what it depends on. */
export function mark(network) {
  const layer = network.layers.find(({ name }) => name === view.layer);
  const [y, x] = view.cell;
  const found = fields(network, layer, { top: y, left: x, bottom: y, right: x });
  for (const column of columns) {
    const { stage, button, pulse } = column;
    const names = [stage.head, ...stage.folded].map(({ name }) => name);
    button.setAttribute("aria-pressed", String(names.includes(view.layer)));
    const alike = names.includes(view.layer) && layer.output.join() === stage.head.output.join();
    if (names.includes(view.layer)) intoSight(column.node);
    pulse.hidden = !alike || view.channel >= column.grid.shown;
    if (!pulse.hidden) place(pulse, spotOf(column), [column.canvas.width, column.canvas.height]);
    outline(column, names.includes(view.layer) ? null : found.get(stage.head.name));
  }
  const box = found.get("input");
  $("field").hidden = !box;
  if (box) place($("field"), rectangle(box), [network.input.width, network.input.height]);
}

const EDGE = 8; // px out of sight that hide nothing: the list's padding, where the last stage's frame has room

/** Many stages scroll; those that are out of sight fade, so that they are looked for. */
function fade() {
  const list = $("stages");
  const rest = list.scrollWidth - list.clientWidth - list.scrollLeft;
  list.classList.toggle("before", list.scrollLeft > EDGE);
  list.classList.toggle("after", rest > EDGE);
}

/** Many stages scroll: the one that is opened is brought into sight, once. */
function intoSight(node) {
  if (node === shown) return;
  shown = node;
  const list = $("stages");
  if (list.scrollWidth <= list.clientWidth) return;
  const [own, all] = [node, list].map((each) => each.getBoundingClientRect());
  if (own.left < all.left || own.right > all.right) list.scrollLeft += own.left - all.left - (all.width - own.width) / 2;
}

const rectangle = ({ top, left, bottom, right }) => ({ left, top, width: right - left + 1, height: bottom - top + 1 });

/** Where the chosen number lies in a stage's picture. */
function spotOf({ stage, grid, vector }) {
  const [, height, width] = vector ? [] : stage.head.output;
  const [row, column] = [Math.floor(view.channel / grid.columns), view.channel % grid.columns];
  if (vector) return { left: column + 0.5, top: row + 0.5, width: 0, height: 0 };
  return { left: column * (width + 1) + view.cell[1] + 0.5, top: row * (height + 1) + view.cell[0] + 0.5, width: 0, height: 0 };
}

/** Outlines `box` on every map of a stage. */
function outline({ canvas, marks, grid, vector, stage }, box) {
  const sharp = 4;
  marks.width = canvas.width * sharp;
  marks.height = canvas.height * sharp;
  if (!box || vector) return;
  const [, height, width] = stage.head.output;
  if (box.right - box.left + 1 >= width && box.bottom - box.top + 1 >= height) return; // all of it
  const context = marks.getContext("2d");
  const part = rectangle(box);
  for (const [colour, thick] of [["#000", 5], ["#ff2d95", 3]]) {
    context.strokeStyle = colour;
    context.lineWidth = thick;
    for (let channel = 0; channel < grid.shown; channel++) {
      const [left, top] = [(channel % grid.columns) * (width + 1), Math.floor(channel / grid.columns) * (height + 1)];
      context.strokeRect((left + part.left) * sharp, (top + part.top) * sharp, part.width * sharp, part.height * sharp);
    }
  }
}
