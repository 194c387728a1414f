// Numbers as people read them.

import { spoken, t } from "./texts.js";

const UNIT = "\u00a0"; // between a number and its unit, where no line may break

/** 4,210,090 */
export const count = (value) => new Intl.NumberFormat(spoken()).format(value);

/** 93.2 %, and never 100 % or 0 % for what is only nearly so. */
export function percent(share) {
  if (share > 0 && share < 0.001) return `< 0.1${UNIT}%`;
  if (share < 1 && share > 0.999) return `> 99.9${UNIT}%`;
  return `${(share * 100).toFixed(1)}${UNIT}%`;
}

/** Three digits that matter: 0.00123, 12.3, 1.23e+6. */
export function number(value) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  return (size >= 1e5 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(3)))).replace("-", "−");
}

/** As much of a number as fits a small cell: 0.35, −1.2, 120; what is next to nothing says so. */
export function brief(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 0.005) return "≈0";
  const text = size >= 1e4 ? value.toExponential(0) : size < 1 ? value.toFixed(2) : String(Number(value.toPrecision(2)));
  return text.replaceAll("-", "−").replace("e+", "e");
}

/** All of a 32-bit number: the fewest digits that give it back. */
export function exact(value) {
  for (let digits = 6; digits < 10; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === Math.fround(value)) return String(Number(text)).replaceAll("-", "−");
  }
  return String(value).replaceAll("-", "−");
}

/** 0.42 ms, 3.1 s, 12 min */
export function duration(milliseconds) {
  if (milliseconds < 1000) return `${number(milliseconds)}${UNIT}ms`;
  const seconds = milliseconds / 1000;
  return seconds < 100 ? `${number(seconds)}${UNIT}s` : `${Math.round(seconds / 60)}${UNIT}min`;
}

/** 22.4 MB */
export const megabytes = (bytes) => (bytes < 1e5 ? `${Math.max(1, Math.round(bytes / 1e3))}${UNIT}kB` : `${(bytes / 1e6).toFixed(1)}${UNIT}MB`);

/** [32, 16, 16] as "32 maps of 16 × 16"; [512] as "512 numbers". */
export const shape = (dims) =>
  dims.length === 3 ? t("shape.maps", dims[0], dims[1], dims[2]) : t("shape.numbers", dims[0]);
