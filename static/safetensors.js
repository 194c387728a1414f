// The server's answer of many layers at once: a length, a header in JSON, then the numbers.

const LENGTH = 8;

/** Name → `{ shape, values }`. */
export function tensors(buffer) {
  const size = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, LENGTH, size)));
  const found = new Map();
  for (const [name, { shape, data_offsets: at }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [from, to] = at.map((offset) => LENGTH + size + offset);
    found.set(name, { shape, values: new Float32Array(buffer.slice(from, to)) });
  }
  return found;
}
