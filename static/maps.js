// Numbers as pixels: one cell a value, never smoothed.

import { ink } from "./colours.js";

/** `[channels, height, width]` of a layer's output; a vector, or maps of one pixel, are one row of cells. */
export const isVector = (shape) => shape.length === 1 || (shape[1] === 1 && shape[2] === 1);

/** A vector's cells are laid out in rows of about twice as many as there are rows. */
export const vectorColumns = (length) => (length <= 16 ? length : 2 ** Math.ceil(Math.log2(Math.sqrt(length * 2))));

/** `[row, column]` of the largest number of a map, away from its edges where it has an inside. */
export function largest([, height = 1, width = 1], values, channel) {
  const edge = Math.min(height, width) > 4 ? 1 : 0;
  let [best, most] = [[0, 0], -Infinity];
  for (let y = edge; y < height - edge; y++) {
    for (let x = edge; x < width - edge; x++) {
      const value = values[(channel * height + y) * width + x];
      if (value > most) [best, most] = [[y, x], value];
    }
  }
  return best;
}

/** Shows a canvas enlarged by a whole number, as large as fits into `room` CSS pixels, and never less than `least` a cell. */
export function enlarge(canvas, room, least = 1) {
  canvas.style.width = `${canvas.width * Math.max(least, Math.floor(room / canvas.width))}px`;
}

/** Paints `width` × `height` values from `start` on. */
export function paint(canvas, { values, start = 0, width, height }, scale) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const end = Math.min(pixels.length, values.length - start);
  for (let i = 0; i < end; i++) pixels[i] = ink(values[start + i], scale);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Paints many maps side by side, `columns` a row, one empty pixel between them. `scaleFor(channel)` colours each. */
export function paintGrid(canvas, { values, shape: [, height, width] }, { columns, shown }, scaleFor) {
  const rows = Math.ceil(shown / columns);
  canvas.width = columns * (width + 1) - 1;
  canvas.height = rows * (height + 1) - 1;
  const context = canvas.getContext("2d");
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let channel = 0; channel < shown; channel++) {
    const scale = scaleFor(channel);
    const start = channel * width * height;
    for (let i = 0; i < pixels.length; i++) pixels[i] = ink(values[start + i], scale);
    context.putImageData(image, (channel % columns) * (width + 1), Math.floor(channel / columns) * (height + 1));
  }
}

/** Places `node` over cells of a picture: everything in shares of its size, so that it fits at any width. */
export function place(node, { left, top, width, height }, [across, down]) {
  const share = (cells, of) => `${(100 * cells) / of}%`;
  Object.assign(node.style, { left: share(left, across), top: share(top, down), width: share(width, across), height: share(height, down) });
}
