// What is looked at. Every query is built from it, and the whole page is drawn from it.

/** One state: what answers, what it is shown, and where one looks. */
export const view = {
  model: "",
  version: null, // null: the active one
  picture: null, // { name, file, sample, note }: a blob with what it is called
  cover: null, // [left, top, width, height] in the network's pixels
  alter: { right: 0, down: 0, turn: 0, light: 0 }, // cells, cells, degrees, percent
  mask: new Map(), // layer → set of channels that are switched off
  layer: "",
  channel: 0,
  cell: null, // row, column; null: not chosen yet
  scale: "layer", // or "tutorial": each map by its own smallest and largest value
};

/** `conv1:3,7;conv2:0`, as the server reads it; nothing where every channel is on. */
export const maskText = (mask = view.mask) =>
  [...mask].filter(([, channels]) => channels.size).map(([layer, channels]) => `${layer}:${[...channels].sort((a, b) => a - b).join()}`).join(";");

/** `maskText` read back. */
export function readMask(text) {
  const parts = (text ?? "").split(";").map((part) => /^([^:]+):(\d+(?:,\d+)*)$/.exec(part)).filter(Boolean);
  return new Map(parts.map(([, layer, channels]) => [layer, new Set(channels.split(",").map(Number))]));
}

/** Which network: for questions that need no picture. */
export const which = () => ({ model: view.model, version: view.version });

/** Which network, and what of it is switched off: for every question about the picture. */
export const query = () => ({ ...which(), mask: maskText() });

/** The channels of `layer` that are off. */
export const off = (layer) => view.mask.get(layer) ?? new Set();

/** A mask with `channel` of `layer` switched over. */
export function switched(layer, channel) {
  const mask = new Map([...view.mask].map(([name, channels]) => [name, new Set(channels)]));
  const channels = mask.get(layer) ?? new Set();
  if (!channels.delete(channel)) channels.add(channel);
  return channels.size ? mask.set(layer, channels) : (mask.delete(layer), mask);
}
