// What a layer has learned: one filter or row at a time, so that a layer of millions of numbers is never sent whole.

import { json, request } from "./api.js";
import { which } from "./view.js";

const WHOLE = 65_536; // numbers the server still sends as JSON

const kept = new Map();

/** A channel's parameters by their last names: `{ weight: […], bias: 0.1 }`; what there is one of a channel is a number. */
export async function parameters(layer, channel) {
  if (!layer.parameters) return {};
  const key = [which().model, which().version, layer.name].join("\n");
  if (layer.parameters > WHOLE) return remember(`${key}\n${channel}`, () => one(layer, channel));
  const all = await remember(key, async () => (await json(path(layer), { query: which() })).parameters);
  const own = ({ shape, values }) => {
    const size = values.length / shape[0];
    return size === 1 && shape.length === 1 ? values[channel] : Float32Array.from(values.slice(channel * size, (channel + 1) * size));
  };
  return Object.fromEntries(all.filter(({ shape }) => shape.length).map((parameter) => [parameter.name.split(".").at(-1), own(parameter)]));
}

async function one(layer, channel) {
  const response = await request(path(layer), { query: { ...which(), format: "f32", channel } });
  const bias = response.headers.get("x-bias");
  return { weight: new Float32Array(await response.arrayBuffer()), bias: bias === null ? null : Number(bias) };
}

const path = (layer) => `layers/${encodeURIComponent(layer.name)}/weights`;

function remember(key, ask) {
  if (!kept.has(key)) {
    const asked = ask();
    asked.catch(() => kept.delete(key));
    kept.set(key, asked);
  }
  return kept.get(key);
}
