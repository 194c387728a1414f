// A layer's feature maps: the server's picture of them, a button over each tile, and the legend.

import { blob, json } from "./api.js";
import { h, showBlob } from "./dom.js";
import { count, number, percent } from "./format.js";
import { inspect } from "./inspect.js";

const WIDE = 700; // CSS pixels from which 16 tiles a row are large enough to press
const STRIP = 1024; // picture pixels a vector's strip is wide at most
const STEPS = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: (columns) => -columns, ArrowDown: (columns) => columns };

/** The grid of one layer; `node` is its element. */
export class Grid {
  constructor(layer) {
    this.layer = layer;
    this.path = `featuremaps/${encodeURIComponent(layer.name)}`;
    this.image = h("img.pixels", { alt: "", hidden: true });
    this.tiles = h("div.tiles", { role: "group", "aria-label": `Channels of ${layer.name}` });
    this.legend = h("p.legend");
    this.maps = layer.output.length === 3;
    this.node = h("div", {}, h(this.maps ? "div.grid" : "div.grid.strip", {}, this.image, this.tiles), this.legend);
    this.tiles.addEventListener("keydown", (event) => this.move(event));
  }

  /** Shows what this layer makes of a picture. */
  async load({ picture, model, signal }) {
    const { columns, zoom } = this.layout();
    const ask = { method: "POST", body: picture, signal };
    const [png, summary] = await Promise.all([
      blob(this.path, { ...ask, query: { model, columns, zoom } }),
      json(this.path, { ...ask, query: { model } }),
    ]);
    await showBlob(this.image, png);
    this.image.alt = `Output of ${this.layer.name}, values from ${number(summary.range[0])} to ${number(summary.range[1])}`;
    this.legend.replaceChildren(...legend(summary));
    this.open = (channel) => inspect({ layer: this.layer, path: this.path, ask, model, summary, channel });
    if (this.maps && columns !== this.columns) this.lay(columns);
  }

  /** Maps one pixel a value, enlarged by the browser; a vector in as few rows as show every value. */
  layout() {
    const channels = this.layer.output[0];
    if (this.maps) return { columns: Math.min(channels, this.node.clientWidth >= WIDE ? 16 : 8), zoom: 1 };
    const columns = Math.min(channels, STRIP);
    return { columns, zoom: Math.min(64, Math.floor(STRIP / columns)) };
  }

  /** One button a tile, placed in shares of the picture's size, so that they fit at any width. */
  lay(columns) {
    const [channels, height, width] = this.layer.output;
    const rows = Math.ceil(channels / columns);
    const across = spread(columns, width, this.image.naturalWidth);
    const down = spread(rows, height, this.image.naturalHeight);
    this.columns = columns;
    const buttons = Array.from({ length: channels }, (_, channel) => {
      const name = `Channel ${channel}`;
      const button = h("button.tile", { type: "button", title: name, "aria-label": name, tabIndex: channel ? -1 : 0 });
      Object.assign(button.style, { left: across.at(channel % columns), width: across.size });
      Object.assign(button.style, { top: down.at(Math.floor(channel / columns)), height: down.size });
      button.addEventListener("click", () => this.open(channel));
      return button;
    });
    this.tiles.replaceChildren(...buttons);
  }

  /** Arrow keys go from tile to tile; Tab leaves the grid. */
  move(event) {
    const tiles = [...this.tiles.children];
    const next = tiles[tiles.indexOf(document.activeElement) + STEPS[event.key]?.(this.columns)];
    if (!next) return;
    event.preventDefault();
    for (const tile of tiles) tile.tabIndex = tile === next ? 0 : -1;
    next.focus();
  }
}

/** Where `count` tiles of `size` pixels lie along a side of `total` pixels, evenly apart. */
function spread(count, size, total) {
  const step = count > 1 ? (total - size) / (count - 1) : 0;
  const share = (pixels) => `${(100 * pixels) / total}%`;
  return { size: share(size), at: (index) => share(index * step) };
}

/** The colour map with its ends, and what the picture cannot tell. */
function legend({ range: [low, high], channels }) {
  const signed = low < 0;
  const zeros = channels.reduce((sum, channel) => sum + channel.zeros, 0) / channels.length;
  const broken = channels.reduce((sum, channel) => sum + channel.non_finite, 0);
  const notes = [
    signed && "white is 0",
    zeros > 0 && `${percent(zeros)} of the values are 0`,
    broken > 0 && `${count(broken)} values are not finite (magenta)`,
  ].filter(Boolean);
  return [number(low), h(`span.scale.${signed ? "signed" : "positive"}`), number(high), h("span", {}, notes.join(", "))];
}
