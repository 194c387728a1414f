// Covering a part of what the network gets: a grey rectangle over whole cells, drawn by dragging or moved by the arrow keys.

import { $ } from "./dom.js";
import { place } from "./maps.js";
import { png } from "./redraw.js";
import { t } from "./texts.js";
import { view } from "./view.js";

const GREY = "#808080";
const FIRST = 0.4; // of a side
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let covering = false;

/** `change(cover)` is told of a new rectangle; `network()` gives the network whose input is covered. */
export function listen(change, network, choosing) {
  const plate = $("seen-plate");
  let from = null;
  const cell = (event) => {
    const { width, height } = network().input;
    const box = $("seen").getBoundingClientRect();
    const at = (share, cells) => Math.max(0, Math.min(cells - 1, Math.floor(share * cells)));
    return [at((event.clientX - box.left) / box.width, width), at((event.clientY - box.top) / box.height, height)];
  };
  plate.addEventListener("pointerdown", (event) => {
    if (!covering || !network()) return;
    event.preventDefault();
    plate.setPointerCapture(event.pointerId);
    from = cell(event);
  });
  plate.addEventListener("pointermove", (event) => {
    if (!network()) return;
    const at = cell(event);
    if (from) change(between(from, at));
    else if (!covering && event.pointerType === "mouse") choosing([at[1], at[0]]);
  });
  plate.addEventListener("pointerup", (event) => {
    if (from) change(between(from, cell(event)));
    from = null;
  });
  plate.addEventListener("keydown", (event) => {
    const step = KEYS[event.key];
    if (!view.cover || (!step && event.key !== "Delete" && event.key !== "Escape")) return;
    event.preventDefault();
    change(step ? moved(view.cover, step, event.shiftKey, network().input) : null);
  });
}

const between = ([ax, ay], [bx, by]) => [Math.min(ax, bx), Math.min(ay, by), Math.abs(ax - bx) + 1, Math.abs(ay - by) + 1];

/** Moved by a cell, or with Shift made larger or smaller by one. */
function moved([left, top, width, height], [x, y], sizes, { width: across, height: down }) {
  const within = (value, low, high) => Math.max(low, Math.min(high, value));
  if (sizes) return [left, top, within(width + x, 1, across - left), within(height + y, 1, down - top)];
  return [within(left + x, 0, across - width), within(top + y, 0, down - height), width, height];
}

/** A first rectangle, in the middle. */
export function middle({ width, height }) {
  const [w, ht] = [Math.round(width * FIRST), Math.round(height * FIRST)];
  return [Math.round((width - w) / 2), Math.round((height - ht) / 2), w, ht];
}

/** Whether dragging covers. */
export function arm(on) {
  covering = on;
  const plate = $("seen-plate");
  plate.classList.toggle("covering", on);
  if (on) Object.assign(plate, { tabIndex: 0, role: "application", ariaLabel: t("cover.how") });
  else for (const name of ["tabindex", "role", "aria-label"]) plate.removeAttribute(name);
}

/** Draws the rectangle over the picture. */
export function mark(input) {
  $("cover").hidden = !view.cover;
  if (!view.cover) return;
  const [left, top, width, height] = view.cover;
  place($("cover"), { left, top, width, height }, [input.width, input.height]);
}

/** `canvas` with the rectangle on it, if there is one, as a file. */
export function covered(canvas) {
  if (view.cover) {
    const context = canvas.getContext("2d");
    context.resetTransform();
    context.fillStyle = GREY;
    context.fillRect(...view.cover);
  }
  return png(canvas);
}
