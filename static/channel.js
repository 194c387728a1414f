// One channel, large: whole cells, each with its exact value under the pointer and by the arrow keys.

import { ownScale, range, scaleOf } from "./colours.js";
import { h } from "./dom.js";
import { exact, number, percent } from "./format.js";
import { isVector, paint, place, vectorColumns } from "./maps.js";
import { t } from "./texts.js";
import { off, view } from "./view.js";

const SIDE = 320; // CSS pixels that a map is enlarged to, in whole steps
const LEAST = 8; // CSS pixels a cell
const KEYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

let parts = null;

/** The place for a channel of `layer`, empty. */
export function lay({ network, layer, choose, switchOver }) {
  const vector = isVector(layer.output);
  const columns = vector ? vectorColumns(layer.output[0]) : layer.output[2];
  const rows = vector ? Math.ceil(layer.output[0] / columns) : layer.output[1];
  const canvas = h("canvas");
  Object.assign(canvas, { width: columns, height: rows });
  const pulse = h("i.pulse");
  const value = h("p.value-here", { "aria-live": "polite" });
  const title = h("h4");
  const facts = h("p.fine");
  const plate = h("div.plate.large", { tabIndex: 0, role: "application", "aria-label": t("channel.cells", layer.name) }, canvas, pulse);
  const zoom = vector ? Math.max(LEAST, Math.floor(512 / columns)) : Math.max(LEAST, Math.floor(SIDE / columns));
  plate.style.width = `${Math.min(zoom, 64) * columns}px`;
  const toggle = h("button", { type: "button" });
  toggle.addEventListener("click", () => switchOver(layer.name, view.channel));
  const step = (by) => choose({ channel: (view.channel + by + layer.output[0]) % layer.output[0] }, false);
  const previous = h("button", { type: "button", "aria-label": t("channel.previous") }, "←");
  const next = h("button", { type: "button", "aria-label": t("channel.next") }, "→");
  previous.addEventListener("click", () => step(-1));
  next.addEventListener("click", () => step(1));
  const twin = h("details", {}, h("summary", {}, t("channel.table")), h("div.scroll.twin", { tabIndex: 0, role: "group", "aria-label": t("channel.table") }));
  twin.addEventListener("toggle", () => twin.open && parts.found && table());
  parts = { layer, vector, columns, rows, canvas, pulse, value, title, facts, toggle, twin, network };
  listen(plate, choose);
  return h("div.channel", {}, h("div.channel-head", {}, title, h("span.keys-row", {}, previous, next)), h("div.scroll", {}, plate), value, facts, h("p", {}, toggle), twin);
}

function listen(plate, choose) {
  const to = ([row, column]) => {
    const { layer, vector, columns, rows } = parts;
    const [y, x] = [Math.max(0, Math.min(rows - 1, row)), Math.max(0, Math.min(columns - 1, column))];
    choose(vector ? { channel: Math.min(layer.output[0] - 1, y * columns + x) } : { cell: [y, x] }, false);
  };
  const under = (event) => {
    const box = parts.canvas.getBoundingClientRect();
    to([Math.floor(((event.clientY - box.top) / box.height) * parts.rows), Math.floor(((event.clientX - box.left) / box.width) * parts.columns)]);
  };
  plate.addEventListener("pointermove", (event) => event.pointerType === "mouse" && under(event));
  plate.addEventListener("pointerdown", under);
  plate.addEventListener("keydown", (event) => {
    const [row, column] = where();
    const step = KEYS[event.key];
    if (!step && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    to(step ? [row + step[0], column + step[1]] : [row, event.key === "Home" ? 0 : parts.columns - 1]);
  });
}

/** Row and column of the chosen number in this picture. */
const where = () => (parts.vector ? [Math.floor(view.channel / parts.columns), view.channel % parts.columns] : view.cell);

/** Shows the chosen channel of what was found. */
export function draw({ layer, found }) {
  const { vector, columns, rows, canvas, pulse, value, title, facts, toggle, twin, network } = parts;
  parts.found = found;
  const size = vector ? found.values.length : rows * columns;
  const start = vector ? 0 : view.channel * size;
  const scale = view.scale === "layer" || vector ? scaleOf(found.values) : ownScale(found.values, start, start + size);
  paint(canvas, { values: found.values, start, width: columns, height: rows }, scale);
  const [row, column] = where();
  place(pulse, { left: column + 0.5, top: row + 0.5, width: 0, height: 0 }, [columns, rows]);
  const index = vector ? view.channel : start + row * columns + column;
  const called = vector && layer === network.layers.at(-1) ? network.classes[view.channel] : "";
  title.textContent = vector ? [t("channel.value", view.channel), called].filter(Boolean).join(": ") : t("channel.of.all", view.channel, layer.output[0]);
  value.textContent = vector ? t("value.vector", view.channel, exact(found.values[index])) : t("value.cell", row, column, exact(found.values[index]));
  value.dataset.value = String(found.values[index]);
  const own = found.values.subarray(start, start + size);
  const [low, high] = range(own);
  const sum = own.reduce((total, each) => total + each, 0);
  const zeros = own.reduce((total, each) => total + (each === 0), 0);
  facts.textContent = t("channel.facts", number(low), number(high), number(sum / own.length), percent(zeros / own.length));
  const silent = off(layer.name).has(view.channel);
  toggle.textContent = t(silent ? "channel.on" : "channel.off");
  toggle.setAttribute("aria-pressed", String(silent));
  if (twin.open) table();
}

/** Every number of the channel, for whoever would rather read than look. */
function table() {
  const { vector, columns, rows, found, twin, written } = parts;
  const start = vector ? 0 : view.channel * rows * columns;
  if (written?.found === found && written.start === start) return;
  parts.written = { found, start };
  const heads = Array.from({ length: columns }, (_, x) => h("th", { scope: "col" }, String(x)));
  const body = Array.from({ length: rows }, (_, y) => {
    const own = found.values.subarray(start + y * columns, start + Math.min((y + 1) * columns, found.values.length));
    return h("tr", {}, h("th", { scope: "row" }, String(vector ? y * columns : y)), Array.from(own, (value) => h("td", {}, number(value))));
  });
  twin.lastChild.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, h("td"), heads)), h("tbody", {}, body)));
}

/** Nothing of an older picture stays. */
export function clear() {
  if (!parts) return;
  for (const part of [parts.value, parts.facts]) part.textContent = "";
  parts.found = parts.written = null;
  parts.twin.lastChild.replaceChildren();
}
