// The same picture a little otherwise: shifted, turned, lighter or darker. What do the maps keep, and what the answer?

import { $, h } from "./dom.js";
import { t } from "./texts.js";
import { view } from "./view.js";

const GREY = "#808080";
/** What can be altered, and how far each way: cells, cells, degrees, percent. */
const RANGES = { right: 16, down: 16, turn: 180, light: 60 };

/** Nothing altered. */
export const none = () => ({ right: 0, down: 0, turn: 0, light: 0 });

/** Whether the view's picture is as it came. */
export const isNone = () => Object.values(view.alter).every((value) => value === 0);

/** Draws the sliders; `change(alter)` is told of new settings. */
export function lay(change) {
  const sliders = Object.entries(RANGES).map(([name, most]) => {
    const value = h("output", {}, String(view.alter[name]));
    const input = h("input", { type: "range", min: -most, max: most, value: view.alter[name], "data-alter": name });
    input.addEventListener("input", () => {
      value.textContent = input.value;
      change({ ...view.alter, [name]: Number(input.value) });
    });
    return h("label", {}, h("span", {}, t(`alter.${name}`)), input, value);
  });
  $("alter").replaceChildren(...sliders);
}

/** Puts the sliders where the view has them. */
export function mark() {
  for (const input of $("alter").querySelectorAll("input")) {
    input.value = view.alter[input.dataset.alter];
    input.nextElementSibling.textContent = input.value;
  }
  $("invite-alter").classList.toggle("on", !isNone());
}

/** `bitmap` as the view has it, on a canvas. */
export function altered(bitmap) {
  const { width, height } = bitmap;
  const { right, down, turn, light } = view.alter;
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = GREY;
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = turn !== 0;
  context.translate(width / 2 + right, height / 2 + down);
  context.rotate((turn * Math.PI) / 180);
  context.drawImage(bitmap, -width / 2, -height / 2);
  if (light) {
    const image = context.getImageData(0, 0, width, height);
    for (let i = 0; i < image.data.length; i++) if (i % 4 < 3) image.data[i] += Math.round(2.55 * light);
    context.putImageData(image, 0, 0);
  }
  return canvas;
}
