// One look through the network: a picture, a network, and all that is asked about the two. Nothing is asked twice.

import { blob, json, request } from "./api.js";
import { tensors } from "./safetensors.js";

/** Asks about `body`, an encoded picture; `query` says which network, and what of it is off. */
export class Look {
  constructor(body, query, signal) {
    Object.assign(this, { body, query, signal, kept: new Map(), wanted: null });
  }

  /** The answer, as `/classify` gives it. */
  answer() {
    return (this.answered ??= json("classify", this.ask()));
  }

  /** The picture at the network's size, as a PNG. */
  seen() {
    return blob("featuremaps/input", this.ask({ format: "png" }));
  }

  /** `{ name, shape, values }` of a layer's output; of `input`, what the first layer is given. */
  layer(name) {
    if (!this.kept.has(name)) this.kept.set(name, name === "input" ? this.input() : this.gather(name));
    return this.kept.get(name);
  }

  /** What is asked for in one go comes in one answer, of one pass through the network. */
  async gather(name) {
    this.wanted ??= Promise.resolve().then(() => this.fetch());
    this.names = [...(this.names ?? []), name];
    const found = (await this.wanted).get(name);
    return { name, ...found };
  }

  async fetch() {
    const layers = this.names.join();
    this.names = this.wanted = null;
    return tensors(await (await request("featuremaps", this.ask({ layers }))).arrayBuffer());
  }

  async input() {
    const response = await request("featuremaps/input", this.ask({ format: "f32" }));
    const shape = response.headers.get("x-shape").split(/[^\d]+/).filter(Boolean).map(Number);
    return { name: "input", shape, values: new Float32Array(await response.arrayBuffer()) };
  }

  ask(more = {}) {
    return { method: "POST", body: this.body, query: { ...this.query, ...more }, signal: this.signal };
  }
}
