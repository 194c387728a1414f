// Accuracy by epoch as two lines: on the pictures it learns from, and on those it never saw.

import { svg } from "./dom.js";
import { percent } from "./format.js";
import { t } from "./texts.js";

const WIDTH = 640;
const HEIGHT = 240;
const INNER = { left: 44, right: 628, top: 12, bottom: 210 };
const LINES = [
  ["test", "test_accuracy"],
  ["train", "train_accuracy"],
];

/** An SVG of `epochs` (records of `epoch` events), laid out for `total` of them. */
export function curve(epochs, total) {
  const last = epochs.at(-1);
  const said = last ? t("curve.said", last.epoch, percent(last.test_accuracy), percent(last.train_accuracy)) : t("curve.none");
  const x = (epoch) => INNER.left + ((INNER.right - INNER.left) * (epoch - 1)) / Math.max(total - 1, 1);
  const y = (share) => INNER.bottom - (INNER.bottom - INNER.top) * share;
  const drawing = svg("svg", { class: "curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said });
  drawing.append(...scale(x, y, total));
  for (const [name, key] of LINES) {
    const known = epochs.filter((record) => record[key] != null);
    drawing.append(svg("polyline", { class: `line ${name}`, points: known.map((r) => `${x(r.epoch)},${y(r[key])}`).join(" ") }));
    for (const record of known) {
      const tip = svg("title", {}, t(`curve.${name}`, record.epoch, percent(record[key])));
      drawing.append(svg("circle", { class: `dot ${name}`, cx: x(record.epoch), cy: y(record[key]), r: known.length > 60 ? 1.5 : 3 }, tip));
    }
  }
  return drawing;
}

function scale(x, y, total) {
  const parts = [];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(svg("line", { class: "rule", x1: INNER.left, x2: INNER.right, y1: y(share), y2: y(share) }));
    parts.push(svg("text", { class: "tick end", x: INNER.left - 8, y: y(share) + 4 }, `${share * 100} %`));
  }
  const step = Math.max(1, Math.ceil(total / 10));
  for (let epoch = 1; epoch <= total; epoch += step) {
    parts.push(svg("text", { class: "tick middle", x: x(epoch), y: INNER.bottom + 20 }, String(epoch)));
  }
  return parts;
}
