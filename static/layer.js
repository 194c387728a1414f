// The layer that is opened: what it does, all its maps, and one of them large.

import * as channel from "./channel.js";
import { contrasts, css, ownScale, scaleOf } from "./colours.js";
import { $, h } from "./dom.js";
import * as filters from "./filter.js";
import { count, exact, number, percent, shape } from "./format.js";
import { legend } from "./legend.js";
import { isVector, paint } from "./maps.js";
import * as rank from "./rank.js";
import * as softmax from "./softmax.js";
import { isIdle, named } from "./stages.js";
import { has, t } from "./texts.js";
import { row } from "./take.js";
import { off, query, view } from "./view.js";

const STEPS = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: (columns) => -columns, ArrowDown: (columns) => columns, Home: () => -Infinity, End: () => Infinity };

const TILE = 64; // CSS pixels a map is enlarged to, in whole steps
const READABLE = 64; // numbers that are written out

let painted = null;
let parts = null;
let idle = false;

/** The row of layers to choose from; those that change nothing are shown when asked for. */
export function list(network, choose) {
  const chip = (layer) => {
    const node = h("button.chip", { type: "button", "aria-pressed": String(layer.name === view.layer) }, layer.name);
    node.addEventListener("click", () => choose({ layer: layer.name }, true));
    return node;
  };
  const shown = network.layers.filter((layer) => idle || !isIdle(layer) || layer.name === view.layer);
  const nodes = shown.map(chip);
  const hidden = network.layers.filter(isIdle).length;
  if (hidden) {
    const toggle = h("button.chip.quiet", { type: "button", "aria-expanded": String(idle) }, t(idle ? "layers.fewer" : "layers.idle", hidden));
    toggle.addEventListener("click", () => {
      idle = !idle;
      list(network, choose);
      $("layer-list").lastChild.focus();
    });
    nodes.push(toggle);
  }
  $("layer-list").replaceChildren(...nodes);
}

/** Lays out the chosen layer, empty. */
export function lay(network, choose, switchOver) {
  const layer = named(network.layers, view.layer);
  list(network, choose);
  const last = layer === network.layers.at(-1);
  const tiles = isVector(layer.output) ? null : tilesOf(layer, choose);
  const key = h("p.legend");
  const values = isVector(layer.output) && layer.output[0] <= READABLE ? h("ol.values") : null;
  const scale = tiles ? scales(choose) : null;
  const enlarged = channel.lay({ network, layer, choose, switchOver });
  const shares = h("div");
  const asked = () => ({ body: parts.look?.body, query: query() });
  const sharing = last ? h("div", {}, shares, row(t("take.shares"), "classify", asked)) : null;
  const ranking = rank.possible(layer) ? rank.lay(layer, () => parts.look, choose) : null;
  const filter = h("div.filter");
  const along = row(layer.name, `featuremaps/${encodeURIComponent(layer.name)}`, () => ({ body: parts.look?.body, query: { ...query(), scale: view.scale } }), ["png", "npy", "json"]);
  parts = { layer, tiles, ranking, key, values, scale, filter, shares: last ? shares : null, look: null };
  painted = null;
  $("opened").setAttribute("aria-label", layer.name);
  $("opened").replaceChildren(
    h("header", {}, h("h3", { id: "opened-title", tabIndex: -1 }, layer.name, " ", h("small", {}, has(`kind.${layer.kind}`) ? t(`kind.${layer.kind}`) : layer.kind)), facts(layer)),
    h("p.what", {}, [has(`what.${layer.kind}`) && t(`what.${layer.kind}`), last && t("what.last")].filter(Boolean).join(" ")),
    h(tiles ? "div.both" : "div.both.single", {}, h("div.maps", {}, scale, tiles, values, key, along, sharing, ranking?.node, filter), enlarged),
  );
}

/** Fills it with what `look` found; what did not change is not painted again. */
export async function draw({ network, look }) {
  const { layer, tiles, key, filter, shares } = parts;
  if (parts.look !== look) parts.ranking?.clear();
  parts.look = look;
  const found = await look.layer(layer.name);
  if (layer !== parts.layer) return;
  const shown = [look, layer, view.scale];
  if (!painted || shown.some((part, i) => part !== painted[i])) {
    painted = shown;
    const one = view.scale === "layer" || isVector(layer.output) ? scaleOf(found.values) : null;
    if (tiles) paintTiles(tiles, found, one);
    key.replaceChildren(...legendOf(found, one));
    describe(network, found);
    shares?.replaceChildren(softmax.table({ classes: network.classes, scores: found.values, answer: await look.answer() }));
  }
  if (tiles) press(tiles);
  channel.draw({ network, layer, found });
  await filters.draw(filter, { network, layer, channel: view.channel });
}

/** Nothing of an older picture stays. */
export function clear() {
  painted = null;
  if (!parts) return;
  parts.look = null;
  parts.ranking?.clear();
  for (const canvas of $("opened").querySelectorAll("canvas")) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  for (const part of [parts.key, parts.values, parts.shares, parts.filter]) part?.replaceChildren();
  channel.clear();
}

function tilesOf(layer, choose) {
  const [channels, height, width] = layer.output;
  const zoom = Math.max(1, Math.floor(TILE / width));
  const node = h("div.tiles", { role: "group", "aria-label": t("layer.channels", layer.name) });
  node.style.gridTemplateColumns = `repeat(auto-fill, ${Math.max(24, width * zoom)}px)`;
  for (let i = 0; i < channels; i++) {
    const canvas = h("canvas");
    Object.assign(canvas, { width, height });
    canvas.style.width = `${width * zoom}px`;
    const button = h("button.tile", { type: "button", title: t("channel", i), "aria-label": t("channel", i), tabIndex: -1 }, canvas);
    button.addEventListener("click", () => choose({ channel: i }, false));
    node.append(button);
  }
  node.addEventListener("keydown", (event) => {
    const tiles = [...node.children];
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const columns = tiles.filter(({ offsetTop }) => offsetTop === tiles[0].offsetTop).length;
    const at = tiles.indexOf(document.activeElement) + step(columns);
    const next = Math.abs(at) === Infinity ? (at < 0 ? 0 : channels - 1) : at;
    if (!tiles[next]) return;
    choose({ channel: next }, false);
    tiles[next].focus();
  });
  return node;
}

function paintTiles(tiles, { values, shape: [, height, width] }, one) {
  const size = height * width;
  [...tiles.children].forEach((tile, i) => {
    const scale = one ?? ownScale(values, i * size, (i + 1) * size);
    paint(tile.firstChild, { values, start: i * size, width, height }, scale);
  });
}

/** The choice of one scale for the layer, or one for each map. */
function scales(choose) {
  const option = (name) => {
    const input = h("input", { type: "radio", name: "scale", value: name, checked: view.scale === name });
    input.addEventListener("change", () => choose({ scale: name }, false));
    return h("label", {}, input, " ", t(`scale.${name}`));
  };
  return h("div.scales", { role: "radiogroup", "aria-label": t("scale.title") }, option("layer"), option("tutorial"), h("p.fine.honest", { role: "status" }));
}

/** What a scale of their own does to these maps; which are the same everywhere; and a vector's numbers in words. */
function describe(network, { values, shape: dims }) {
  const { tiles, scale, values: list, layer } = parts;
  if (tiles) {
    const { flat, enlarged } = contrasts(values, dims[1] * dims[2]);
    const still = flat.filter(Boolean).length;
    scale.lastChild.textContent = [t(`scale.${view.scale}.note`, enlarged, dims[0]), still > 0 && t("scale.flat", still)].filter(Boolean).join(" ");
    [...tiles.children].forEach((tile, i) => {
      tile.classList.toggle("flat", flat[i]);
      const said = flat[i] ? t("channel.flat", i, number(values[i * dims[1] * dims[2]])) : t("channel", i);
      Object.assign(tile, { title: said, ariaLabel: said });
    });
  }
  if (!list) return;
  const colours = scaleOf(values);
  const named = layer === network.layers.at(-1) && network.classes.length === values.length;
  list.replaceChildren(
    ...Array.from(values, (value, i) => {
      const node = h("b.cell", { title: exact(value) }, number(value));
      const { background, ink } = css(value, colours);
      Object.assign(node.style, { background, color: ink });
      return h("li", {}, h("span", {}, named ? network.classes[i] : String(i)), node);
    }),
  );
}

/** One tile takes the focus of Tab: the chosen one. */
function press(tiles) {
  const silent = off(parts.layer.name);
  [...tiles.children].forEach((tile, i) => {
    const chosen = i === view.channel;
    tile.tabIndex = chosen ? 0 : -1;
    tile.classList.toggle("chosen", chosen);
    tile.setAttribute("aria-pressed", String(chosen));
    tile.classList.toggle("off", silent.has(i));
  });
}

/** The colours with their ends, and what the picture cannot tell. */
function legendOf({ values }, scale) {
  let [zeros, broken] = [0, 0];
  for (const value of values) {
    if (value === 0) zeros++;
    else if (!Number.isFinite(value)) broken++;
  }
  const notes = [
    scale?.signed && t("legend.white"),
    zeros > 0 && t("legend.zeros", percent(zeros / values.length)),
    broken > 0 && t("legend.broken", broken),
  ].filter(Boolean);
  return [...legend(scale), h("span", {}, notes.join(t("comma")))];
}

function facts(layer) {
  const rows = [[t("fact.gives"), shape(layer.output)]];
  if (layer.parameters) rows.push([t("fact.parameters"), count(layer.parameters)]);
  if (layer.multiply_adds) rows.push([t("fact.multiply_adds"), count(layer.multiply_adds)]);
  return h("dl.facts", {}, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
