// Two looks side by side: another picture, another network, or the same one altered; one locked scale, and the signed difference.

import { isNone } from "./alter.js";
import { range, scaleOf } from "./colours.js";
import { $, h } from "./dom.js";
import { exact, number, percent } from "./format.js";
import { legend } from "./legend.js";
import { Look } from "./look.js";
import { isVector, paint, vectorColumns } from "./maps.js";
import { pictured, row } from "./take.js";
import { t } from "./texts.js";
import { maskText, view } from "./view.js";

const SIDE = 160; // CSS pixels a map is enlarged to, in whole steps

let kept = null;
let drawn = 0;

/** Keeps `state` to be compared with what comes, or lets go of what was kept. */
export function keep(state) {
  kept = kept ? null : { look: new Look(state.look.body, state.look.query), answer: state.told.answer, network: state.network, name: said(), picture: pictured() };
  $("keep").setAttribute("aria-pressed", String(Boolean(kept)));
  if (!kept) $("compare").replaceChildren();
}

/** Nothing of an older picture stays; what was kept is kept. */
export function clear() {
  drawn++;
  $("compare").replaceChildren();
}

/** What is looked at, in a few words. */
const said = () => [view.picture.name || t("picture.pasted"), view.model, view.version, maskText(), view.cover && t("changed.cover"), !isNone() && t("changed.alter")].filter(Boolean).join(" · ");

/** Draws what was kept beside what is there now, at the chosen number. */
export async function draw({ network, look, told }) {
  const turn = ++drawn;
  if (!kept || !told) return;
  const now = await look.layer(view.layer);
  const layer = kept.network.layers.find(({ name }) => name === view.layer);
  const alike = layer?.output.join() === now.shape.join();
  const then = alike ? await kept.look.layer(view.layer) : null;
  if (turn !== drawn || !kept) return;
  const head = h("h3", {}, t("compare.title", view.layer, view.channel));
  const [left, right] = [
    [t("compare.kept", kept.name), kept.answer],
    [t("compare.now", said()), told.answer],
  ].map(([name, { label, probability }]) => h("p", {}, h("b", {}, name), h("br"), `${label}${t("answer.also", label)} ${percent(probability)}`));
  if (!alike) return $("compare").replaceChildren(head, h("div.sides", {}, left, right), h("p", {}, t("compare.unlike", view.layer)));
  const [a, b] = [then, now].map(part);
  const difference = Float32Array.from(b.values, (value, i) => value - a.values[i]);
  const scale = scaleOf([...range(then.values), ...range(now.values)]);
  const most = Math.max(...range(difference).map(Math.abs));
  const signed = { low: -most, high: most, signed: true };
  const at = isVector(now.shape) ? view.channel : view.cell[0] * b.width + view.cell[1];
  const figure = (about, values, colours, along) =>
    h("figure", { "data-value": String(values[at]) }, about, map({ ...b, values }, colours), h("p.legend", {}, legend(colours)), h("p.fine", {}, exact(values[at])), along);
  const change = h("p", {}, h("b", {}, t("compare.difference")), h("br"), changeOf(told.answer));
  $("compare").replaceChildren(head, h("div.sides", {}, figure(left, a.values, scale, along("kept", kept)), figure(right, b.values, scale, along("now", { look })), figure(change, difference, signed)));
}

/** The numbers of one side, as a file and as a command. */
function along(side, { look, picture }) {
  const numbers = { channel: view.channel, format: "npy" };
  const ask = () => ({ body: look.body, query: { ...look.query, ...numbers }, picture });
  return row(t(`take.${side}`, view.layer, view.channel), `featuremaps/${encodeURIComponent(view.layer)}`, ask, ["npy"]);
}

/** What became of the kept answer. */
function changeOf({ probabilities }) {
  const { label, probability } = kept.answer;
  const now = probabilities[label];
  return now === undefined ? "" : t("compare.share", label, `${now > probability ? "+" : ""}${number((now - probability) * 100)}`);
}

/** The chosen map; of a vector, all of it. */
function part({ shape, values }) {
  if (isVector(shape)) return { values, width: vectorColumns(values.length), height: Math.ceil(values.length / vectorColumns(values.length)) };
  const [, height, width] = shape;
  const size = height * width;
  return { values: values.subarray(view.channel * size, (view.channel + 1) * size), width, height };
}

function map({ values, width, height }, scale) {
  const canvas = h("canvas.sheet", { role: "img", "aria-label": t("compare.map", width, height) });
  paint(canvas, { values, width, height }, scale);
  canvas.style.width = `${width * Math.max(1, Math.floor(SIDE / width))}px`;
  return canvas;
}
