// From a number to a colour, with the server's colour maps at 33 points. Data keeps its colours in light and in dark.

const VIRIDIS =
  "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d 2f6b8e 2c728e 297a8e 26828e 23898e 21918c 1f978b 1f9f88 21a685 27ad81 31b57b 3dbc74 4cc26c 5cc863 6ece58 81d34d 95d840 aadc32 c0df25 d5e21a eae51a fde725";
const RDBU =
  "67001f 7e0823 941127 a81d2d b82e35 c6413f d1574b db6d59 e58369 ed977a f3ab8d f7bda1 faccb5 fbdac8 fae5d8 f7ece6 f1efee eaeff2 dfebf2 d1e5ef c0dceb aed3e6 99c7e0 83bbd8 6cacd1 569dc9 448ec1 3680b9 2a71ae 2062a0 17528e 0e4178 053061";
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

/** Of maps of `size` values each: how many show the same everywhere, and how many their own scale would enlarge more than tenfold. */
export function contrasts(values, size) {
  const { low, high } = scaleOf(values);
  const spans = Array.from({ length: values.length / size }, (_, i) => {
    const [from, to] = range(values, i * size, (i + 1) * size);
    return to - from;
  });
  return { flat: spans.map((span) => span === 0), enlarged: spans.filter((span) => span > 0 && (high - low) / span > 10).length };
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
