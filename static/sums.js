// What one number of a layer is made of: every kind's arithmetic, done again here, in 64 bits over the server's own numbers.

import { reads } from "./stages.js";

/**
 * `{ form, blocks, terms, bias, steps, value }` of the output of `layer` at `channel` and `cell`. `inputs` are the outputs it reads
 * as `{ name, shape, values }`, `learned` its channel's parameters.
 *
 * `blocks` are windows of one channel each, `{ channel, top, left, cells: [{ x, w }], sum }`, row by row, `side` cells wide; `terms`
 * are single products; `steps` are named numbers on the way.
 */
export function explain({ layer, channel, cell, inputs, learned }) {
  return KINDS[layer.kind]?.({ layer, channel, cell, inputs, learned, from: inputs[0] }) ?? null;
}

/** The activation functions. */
const FUNCTIONS = {
  relu: bend(({ x }) => Math.max(0, x)),
  leaky_relu: bend(({ x, layer }) => (x < 0 ? x * (layer.negative_slope ?? 0.01) : x)),
  silu: bend(({ x }) => x / (1 + Math.exp(-x))),
  gelu: bend(({ x }) => (x / 2) * (1 + erf(x / Math.SQRT2))),
  tanh: bend(({ x }) => Math.tanh(x)),
  sigmoid: bend(({ x }) => 1 / (1 + Math.exp(-x))),
};

/** Whether a layer of `kind` is a function of each number. */
export const isFunction = (kind) => kind in FUNCTIONS;

const KINDS = {
  ...FUNCTIONS,
  conv2d,
  linear,
  max_pool2d: (about) => pool(about, "largest"),
  avg_pool2d: (about) => pool(about, "mean"),
  adaptive_avg_pool2d: (about) => pool(about, "mean"),
  dropout: bend(({ x }) => x),
  flatten: ({ from, channel }) => ({ form: "same", steps: [["x", from.values[channel]]], value: from.values[channel] }),
  batch_norm2d,
  add,
};

function conv2d({ layer, channel, cell, from, learned }) {
  const [depth, height, width] = from.shape;
  const { groups = 1, dilation = 1, kernel_size: side } = layer;
  const each = depth / groups;
  const first = Math.floor(channel / (layer.out_channels / groups)) * each;
  const { top, left } = reads(layer, from.shape, spot(cell));
  const blocks = Array.from({ length: each }, (_, i) => {
    const cells = [];
    for (let ky = 0; ky < side; ky++) {
      for (let kx = 0; kx < side; kx++) {
        const [y, x] = [top + ky * dilation, left + kx * dilation];
        const inside = y >= 0 && x >= 0 && y < height && x < width;
        cells.push({
          x: inside ? from.values[((first + i) * height + y) * width + x] : 0,
          w: learned.weight[(i * side + ky) * side + kx],
          inside,
        });
      }
    }
    return { channel: first + i, top, left, side, cells, sum: total(cells.map(({ x, w }) => x * w)) };
  });
  const bias = learned.bias ?? null;
  return { form: "products", blocks, bias, count: each * side * side, value: total(blocks.map(({ sum }) => sum)) + (bias ?? 0) };
}

function linear({ from, learned }) {
  const terms = Array.from(from.values, (x, index) => ({ index, x, w: learned.weight[index], product: x * learned.weight[index] }));
  const bias = learned.bias ?? null;
  return { form: "terms", terms, bias, count: terms.length, value: total(terms.map(({ product }) => product)) + (bias ?? 0) };
}

function pool({ layer, channel, cell, from }, form) {
  const [, height, width] = from.shape;
  const { top, left, bottom, right } = reads(layer, from.shape, spot(cell));
  const cells = [];
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const inside = y >= 0 && x >= 0 && y < height && x < width;
      cells.push({ x: inside ? from.values[(channel * height + y) * width + x] : 0, inside });
    }
  }
  const there = cells.filter(({ inside }) => inside).map(({ x }) => x);
  const value = form === "largest" ? Math.max(...there) : total(there) / cells.length; // padding counts as zeros
  return { form, blocks: [{ channel, top, left, side: right - left + 1, cells, sum: value }], bias: null, count: cells.length, value };
}

function batch_norm2d({ layer, learned, ...about }) {
  const x = at(about);
  const { weight = 1, bias = 0, running_mean: mean, running_var: variance } = learned;
  const [gain] = [weight].flat();
  const deviation = Math.sqrt(variance + (layer.eps ?? 1e-5));
  return { form: "norm", steps: [["x", x], ["mean", mean], ["deviation", deviation], ["gain", gain], ["shift", bias]], value: ((x - mean) / deviation) * gain + bias };
}

function add({ inputs, channel, cell }) {
  const parts = inputs.map((from) => [from.name, at({ from, channel, cell })]);
  return { form: "sum", steps: parts, value: total(parts.map(([, value]) => value)) };
}

/** A function of one number. */
function bend(of) {
  return (about) => {
    const x = at(about);
    return { form: about.layer.kind === "dropout" ? "same" : "function", steps: [["x", x]], value: of({ x, layer: about.layer }) };
  };
}

/** The number of `from` in the same place. */
export function at({ from, channel, cell: [y, x] }) {
  const [, height = 1, width = 1] = from.shape;
  return from.values[(channel * height + y) * width + x];
}

const spot = ([y, x]) => ({ top: y, left: x, bottom: y, right: x });

const total = (numbers) => numbers.reduce((sum, value) => sum + value, 0);

/** The error function, by its series near 0 and its continued fraction beyond: right to 1e-12. */
function erf(x) {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let [term, sum] = [z, z];
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
      if (n > 200) break;
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / ((z + fraction) * Math.sqrt(Math.PI)));
}
