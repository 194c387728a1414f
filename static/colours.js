// From a number to a colour, with the server's colour maps. Data keeps its colours in light and in dark.

const VIRIDIS = "440154 481467 482576 453781 404688 39558c 33638d 2d718e 287d8e 238a8d 1f968b 20a386 29af7f 3cbc75 56c667 74d055 94d840 b8de29 dce319 fde725";
const RDBU = "67001f 8a0b25 ab1d2f c03a3e d0594f e17d67 eb9f86 f5c2ab fadccd f9ecdf f2f0ef e3edf3 cbe1ee add2e5 8bbfda 66a5cc 448abf 3173b1 2560a1 1a4983 053061";
const BROKEN = 0xffff00ff; // magenta: not a number, or infinite

const table = (stops) => {
  const colours = stops.split(" ").map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (colours.length - 1);
    const low = Math.min(Math.floor(at), colours.length - 2);
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(colours[low][c] + (colours[low + 1][c] - colours[low][c]) * (at - low)));
    return 0xff000000 | (b << 16) | (g << 8) | r;
  });
};
const SEQUENTIAL = table(VIRIDIS);
const SIGNED = table(RDBU);

/** Smallest and largest of the finite numbers among `values` from `from` to `to`. */
export function range(values, from = 0, to = values.length) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = from; i < to; i++) {
    const value = values[i];
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 0] : [low, high];
}

/** How `values` are coloured: from 0 up where none is negative, else alike on both sides of 0. */
export function scaleOf(values, from, to) {
  const [low, high] = range(values, from, to);
  const most = Math.max(Math.abs(low), Math.abs(high));
  return low < 0 ? { low: -most, high: most, signed: true } : { low: 0, high, signed: false };
}

/** As matplotlib shows a picture by itself: from its own smallest to its own largest value. */
export function ownScale(values, from, to) {
  const [low, high] = range(values, from, to);
  return { low, high, signed: false };
}

/** A number's colour by `scale`, as a canvas keeps it. */
export function ink(value, { low, high, signed }) {
  if (!Number.isFinite(value)) return BROKEN;
  const share = high > low ? (value - low) / (high - low) : signed ? 0.5 : 0;
  return (signed ? SIGNED : SEQUENTIAL)[Math.max(0, Math.min(255, Math.round(share * 255)))];
}

/** The same for CSS, with a colour of text that can be read on it. */
export function css(value, scale) {
  const colour = ink(value, scale);
  const [r, g, b] = [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255];
  const [lr, lg, lb] = [r, g, b].map((part) => ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * lr + 0.7152 * lg + 0.0722 * lb; // relative luminance, as WCAG has it
  return { background: `rgb(${r} ${g} ${b})`, ink: light > 0.18 ? "#000" : "#fff" };
}
