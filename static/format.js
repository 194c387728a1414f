// Numbers as people read them.

const whole = new Intl.NumberFormat("en");

/** 4,210,090 */
export const count = (value) => whole.format(value);

const UNIT = "\u00a0"; // between a number and its unit, where no line may break

/** 93.2 %, and never 100 % or 0 % for what is only nearly so. */
export function percent(share) {
  if (share > 0 && share < 0.001) return `< 0.1${UNIT}%`;
  if (share < 1 && share > 0.999) return `> 99.9${UNIT}%`;
  return `${(share * 100).toFixed(1)}${UNIT}%`;
}

/** Three digits that matter: 0.00123, 12.3, 1.23e+6. */
export function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return (size >= 1e5 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(3)))).replace("-", "−");
}

/** 0.42 ms, 3.1 s, 12 min */
export function duration(milliseconds) {
  if (milliseconds < 1000) return `${number(milliseconds)}${UNIT}ms`;
  const seconds = milliseconds / 1000;
  return seconds < 100 ? `${number(seconds)}${UNIT}s` : `${Math.round(seconds / 60)}${UNIT}min`;
}

/** [32, 16, 16] as "32 maps of 16 × 16"; [512] as "512 numbers". */
export function shape(dims) {
  return dims.length === 3 ? `${count(dims[0])} maps of ${dims[1]} × ${dims[2]}` : `${count(dims[0])} numbers`;
}
