// A network as a person follows it: what only passes numbers on, bends or scales them belongs to the stage before it.

const OPENS = ["conv2d", "linear", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "add"];
const IDLE = ["dropout", "flatten"];

/** `[{ head, folded }]`: a layer that makes something new, and those folded into it. */
export function stages(layers) {
  const found = [];
  for (const layer of layers) {
    if (OPENS.includes(layer.kind) || !found.length) found.push({ head: layer, folded: [] });
    else found.at(-1).folded.push(layer);
  }
  return found;
}

/** Whether a layer gives the very numbers it takes, in evaluation. */
export const isIdle = ({ kind }) => IDLE.includes(kind);

/** Whether a layer belongs to the stage of the one before it. */
export const isFolded = ({ kind }) => !OPENS.includes(kind);

/** The layer called `name`. */
export const named = (layers, name) => layers.find((layer) => layer.name === name);

/** What `layer` reads, and its shape: `input` is the picture. */
export function source(network, layer, which = 0) {
  const name = layer.inputs[which];
  const { channels, height, width } = network.input;
  return { name, shape: name === "input" ? [channels, height, width] : named(network.layers, name).output };
}

/**
 * The part of its source that a part of `layer`'s output is made of, as `{ top, left, bottom, right }` in cells, ends included;
 * it may reach into the padding. A vector is made of everything.
 */
export function reads(layer, shape, box) {
  if (shape.length < 3 || layer.output.length < 3) return { top: 0, left: 0, bottom: (shape[1] ?? 1) - 1, right: (shape[2] ?? 1) - 1 };
  if (layer.kind === "adaptive_avg_pool2d") {
    const [, height, width] = layer.output;
    const first = (at, size, of) => Math.floor((at * of) / size);
    const last = (at, size, of) => Math.ceil(((at + 1) * of) / size) - 1;
    const [, rows, columns] = shape;
    return {
      top: first(box.top, height, rows),
      left: first(box.left, width, columns),
      bottom: last(box.bottom, height, rows),
      right: last(box.right, width, columns),
    };
  }
  if (!layer.kernel_size) return box;
  const { kernel_size: size, padding = 0, dilation = 1 } = layer;
  const stride = layer.stride ?? (layer.kind === "conv2d" ? 1 : size);
  const reach = (size - 1) * dilation;
  const start = (at) => at * stride - padding;
  return { top: start(box.top), left: start(box.left), bottom: start(box.bottom) + reach, right: start(box.right) + reach };
}

/** For a part of `layer`'s output, the part of every layer before it, and of `input`, that it depends on. */
export function fields(network, layer, box) {
  const found = new Map([[layer.name, box]]);
  const inside = ({ top, left, bottom, right }, [, height = 1, width = 1]) => ({
    top: Math.max(0, top),
    left: Math.max(0, left),
    bottom: Math.min(height - 1, bottom),
    right: Math.min(width - 1, right),
  });
  const both = (a, b) =>
    a
      ? { top: Math.min(a.top, b.top), left: Math.min(a.left, b.left), bottom: Math.max(a.bottom, b.bottom), right: Math.max(a.right, b.right) }
      : b;
  for (let at = network.layers.indexOf(layer); at >= 0; at--) {
    const here = network.layers[at];
    const own = found.get(here.name);
    if (!own) continue;
    here.inputs.forEach((_, i) => {
      const { name, shape } = source(network, here, i);
      found.set(name, both(found.get(name), inside(reads(here, shape, own), shape)));
    });
  }
  return found;
}
