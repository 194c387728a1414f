// The page: one view, one look through the network, and everything else is drawn from the two.

import * as address from "./address.js";
import * as alter from "./alter.js";
import * as answer from "./answer.js";
import { json, token } from "./api.js";
import * as blueprint from "./blueprint.js";
import * as compare from "./compare.js";
import * as cover from "./cover.js";
import { $, h } from "./dom.js";
import { percent } from "./format.js";
import * as layer from "./layer.js";
import { Look } from "./look.js";
import { largest } from "./maps.js";
import * as models from "./models.js";
import * as notice from "./notice.js";
import * as photo from "./photo.js";
import * as picture from "./picture.js";
import * as pixel from "./pixel.js";
import { sentence, showProblem } from "./problem.js";
import { redrawn } from "./redraw.js";
import { named } from "./stages.js";
import * as strip from "./strip.js";
import * as take from "./take.js";
import { fill, switchOver as speakOther, t } from "./texts.js";
import * as train from "./train.js";
import { maskText, query, switched, view, which } from "./view.js";

const FIRST_SAMPLE = "horse";
const PATIENCE = 300; // ms for which an older answer may still be seen, faded, while the new one is on its way
const READ_OTHERWISE = ["unsupported_image", "bad_image", "image_too_large", "body_too_large"];

/** The network as `/layers` and `/models` tell of it, the look at it, the picture as the network gets it, untouched and as altered, and both answers. */
const state = { network: null, look: null, seen: null, shown: null, before: null, told: null, problem: null, open: false, place: null };

/** Each call gives up what the one before it began. */
function latest() {
  let work = new AbortController();
  return () => {
    work.abort();
    work = new AbortController();
    return work.signal;
  };
}
/** Pictures of one's own that this tab has seen, so that going back finds them. */
const own = [];
/** What was pressed to open the layer that is open. */
let opener = null;
const newest = { look: latest(), model: latest() };

/** Runs `task`; what stopped it is said, and leaves no older answer standing. Giving up in favour of newer work is no problem. */
async function guard(task, file) {
  try {
    showProblem($("problem"), null);
    state.problem = null;
    await task();
  } catch (error) {
    if (error.name !== "AbortError") failed(error, file);
  }
}

function failed(error, file) {
  clear();
  state.problem = { error, file };
  if (error instanceof TypeError || error instanceof RangeError) console.error(error);
  showProblem($("problem"), error, file);
}

function clear() {
  state.look = null;
  for (const part of [answer, strip, layer, pixel, compare]) part.clear();
  for (const mark of ["field", "cover", "frame", "changed"]) $(mark).hidden = true;
  $("seen").getContext("2d").clearRect(0, 0, $("seen").width, $("seen").height);
  $("seen-how").textContent = $("seen-size").textContent = "";
  busy(false);
}

const busy = (on) => $("strip").setAttribute("aria-busy", String(on));

/** Looks at a new picture; what the server cannot read and the browser can is drawn again. */
function choose(chosen, touched) {
  const { cover: covering = null, alter: altering = alter.none() } = touched ?? {};
  if (!touched) notice.clear(); // it was about the address
  if (!chosen.sample && !own.includes(chosen)) own.push(Object.assign(chosen, { own: own.length + 1 }));
  newest.look(); // what is still on its way is about another picture
  Object.assign(view, { picture: { ...chosen }, cover: covering, alter: altering });
  state.seen = state.before = null;
  cover.arm(Boolean(covering));
  busy(true);
  guard(async () => {
    await photo.given(state.network);
    try {
      await look();
    } catch (error) {
      if (!READ_OTHERWISE.includes(error.code) || view.picture.file !== chosen.file) throw error;
      const file = await redrawn(chosen.file).catch(() => null);
      if (!file || view.picture.file !== chosen.file) throw error;
      Object.assign(view.picture, { file, note: () => t("given.redrawn", sentence(error, chosen.file)) });
      await photo.given(state.network);
      await look();
    }
  }, chosen.file);
}

/** Everything the page knows of the view's picture. */
async function look() {
  if (!view.picture || !state.network) return;
  const signal = newest.look();
  busy(true);
  const late = setTimeout(() => (clear(), busy(true)), PATIENCE);
  signal.addEventListener("abort", () => clearTimeout(late), { once: true });
  try {
    // Already at the network's size, it passes preprocessing unchanged: a large photo crosses the wire once.
    const seen = state.seen ?? (await photo.see(new Look(view.picture.file, which(), signal)));
    signal.throwIfAborted();
    const asItCame = !view.cover && alter.isNone();
    const shown = asItCame ? null : alter.altered(seen.bitmap);
    const body = asItCame ? seen.file : await cover.covered(shown);
    const next = new Look(body, query(), signal);
    const untouched = asItCame && !maskText();
    const { classes, layers } = state.network;
    const needed = [layers.at(-1).name, "input", ...strip.names()].map((name) => next.layer(name));
    const [told, last] = await Promise.all([next.answer(), ...needed]);
    const before = untouched ? told : (state.before ?? (await new Look(seen.file, which(), signal).answer()));
    signal.throwIfAborted();
    clearTimeout(late);
    await strip.draw(next);
    signal.throwIfAborted();
    Object.assign(state, { look: next, seen, shown, before });
    state.told = { answer: told, classes, scores: last.values, before: untouched ? null : before, truth: view.picture.label };
    if (state.open) await strongest(next);
    photo.seen(state);
    answer.draw(state.told);
    changed();
    drawChosen();
    busy(false);
  } finally {
    clearTimeout(late);
  }
}

/** Where the address names no number, the one that shows best what the layer does: its map's largest, away from the edges. */
async function strongest(look) {
  state.open = false;
  const { shape, values } = await look.layer(view.layer);
  fit(largest(shape, values, view.channel));
}

/** What is covered or switched off, and what that did. */
function changed() {
  const { answer: told } = state.told;
  const what = [view.cover && t("changed.cover"), !alter.isNone() && t("changed.alter"), maskText() && t("changed.mask", maskText())].filter(Boolean).join(t("comma"));
  $("changed").hidden = !what;
  alter.mark();
  $("invite-cover").setAttribute("aria-pressed", String(Boolean(view.cover)));
  $("invite-off").setAttribute("aria-pressed", String(Boolean(maskText())));
  if (!what) return;
  const { label, probability } = state.before;
  $("changed").firstChild.textContent = t("changed", what, label, percent(probability), percent(told.probabilities[label]));
}

/** Where one looks: `opens` also brings the opened layer into sight. */
function point(where, opens) {
  if (!named(state.network.layers, where.layer ?? view.layer)) return; // on the way to another network
  const before = { ...view };
  if (opens) opener = document.activeElement;
  Object.assign(view, where);
  fit(where.cell ?? (view.layer === before.layer ? view.cell : null));
  if (view.scale !== before.scale && state.look) strip.draw(state.look);
  if (view.layer !== before.layer) layer.lay(state.network, point, switchOver);
  if (opens) {
    $("layers").scrollIntoView();
    $("opened-title").focus({ preventScroll: true });
  }
  drawChosen();
}

/** Keeps what is chosen within the layer. `chosen` is a cell of this layer; else it is the one in the place last chosen, or the middle one. */
function fit(chosen) {
  const [channels, ...sides] = named(state.network.layers, view.layer).output;
  const size = sides.length ? sides : [1, 1];
  view.channel = Math.min(view.channel, channels - 1);
  view.cell = size.map((side, i) => Math.min(chosen?.[i] ?? Math.floor((state.place?.[i] ?? 0.5) * side), side - 1));
  if (chosen && Math.max(...size) > 1) state.place = view.cell.map((cell, i) => (cell + 0.5) / size[i]);
}

function drawChosen() {
  address.write();
  if (!state.look) return;
  strip.mark(state.network);
  blueprint.mark(view.layer);
  const ignore = (error) => error.name !== "AbortError" && showProblem($("problem"), error);
  layer.draw(state).catch(ignore);
  compare.draw(state).catch(ignore);
  pixel.draw(state, point).catch(ignore);
}

/** Switches a channel off, or on again. */
function switchOver(name, channel) {
  view.mask = switched(name, channel);
  guard(look);
}

function touch(patch) {
  Object.assign(view, patch);
  guard(look);
}

async function useModel(name, wanted = null, mask = new Map()) {
  const signal = newest.model();
  const { all, model } = await models.find(name, signal);
  if (!model) throw new Error(t("error.no_model"));
  const { network, version } = await models.reach(model, name === model.name ? wanted : null, signal);
  $("model").replaceChildren(...all.map((each) => h("option", { value: each.name }, each.name)));
  $("model").disabled = all.length < 2;
  $("model").value = model.name;
  versions(model, version);
  Object.assign(view, { model: model.name, version });
  view.mask = new Map([...mask].filter(([layer]) => named(network.layers, layer)));
  const { accuracy } = model.versions.find((each) => each.version === network.model.version) ?? {};
  // How pictures are fitted is told of the active version only.
  const fitted = network.model.version === model.active ? model.fit : null;
  state.network = { ...network, classes: model.classes, accuracy, fit: fitted };
  newest.look();
  state.look = state.seen = state.before = null;
  strip.lay(state.network, point);
  answer.lay(model.classes);
  limits();
  if (!named(network.layers, view.layer)) {
    Object.assign(view, { layer: network.layers[0].name, channel: 0, cell: null });
  }
  fit(state.place ? null : view.cell);
  layer.lay(state.network, point, switchOver);
  takeAlong();
  classText();
  await look();
}

/** The network as a class; a line that is pointed at rings its stage. */
const classText = () => blueprint.lay(state.network, point, (name) => strip.ring(state.network, name));

/** The versions to choose from, where there is more than one. */
function versions({ active, versions }, chosen) {
  $("version-field").hidden = versions.length < 2;
  const option = ({ version }) => h("option", { value: version }, version === active ? t("version.active", version) : String(version));
  $("version").replaceChildren(...versions.map(option));
  $("version").value = String(chosen ?? active);
}

/** Files and commands of what the strip shows. */
function takeAlong() {
  const ask = () => ({ body: state.look?.body, query: query() });
  $("answer-take").replaceChildren(take.row(t("take.answer"), "classify", ask));
  const file = `models/${encodeURIComponent(view.model)}/file`;
  $("model-file").href = view.version === null ? file : `${file}?version=${view.version}`;
  $("model-take").replaceChildren(take.row(t("take.model"), file, () => ({ query: { version: view.version } })));
  $("seen-take").replaceChildren(take.row(t("take.input"), "featuremaps/input", ask, ["png"]));
}

function limits() {
  const { classes, accuracy } = state.network;
  const measured = accuracy ? ` ${t("limits.measured", percent(accuracy.accuracy), accuracy.images)}` : "";
  $("limits").textContent = t("limits", view.model, classes.length, classes.join(t("comma"))) + measured;
}

/** Where the address leads. */
async function go() {
  const wanted = address.read();
  const { layer, channel = 0, cell, scale, sample, mask } = wanted;
  Object.assign(view, { layer: layer ?? view.layer, channel, scale, cell: cell ?? null });
  newest.look();
  Object.assign(state, { open: !cell, place: null });
  view.picture = state.look = null; // the model is laid out first, the picture after it
  notice.clear();
  await useModel(wanted.model, wanted.version, mask);
  if (wanted.model && view.model !== wanted.model) notice.tell("address.gone.model", wanted.model, view.model);
  else if (wanted.version !== undefined && view.version !== wanted.version) notice.tell("address.gone.version", view.model, wanted.version);
  else if (layer && view.layer !== layer) notice.tell("address.gone.layer", layer, view.model, view.layer);
  $("page").hidden = false;
  const kept = own[wanted.own - 1];
  const touched = { cover: wanted.cover, alter: wanted.alter };
  $("alter").hidden = !wanted.alter;
  $("invite-alter").setAttribute("aria-expanded", String(Boolean(wanted.alter)));
  if (kept) return picture.again(kept, touched);
  const names = picture.names();
  const name = [sample, FIRST_SAMPLE, ...names].find((each) => names.includes(each));
  if (sample && name !== sample) notice.tell("address.gone.sample", sample, name);
  await picture.sample(name, touched, wanted.own ? () => t("address.own", name) : null);
}

/** Says everything again, in the other language. */
function retell() {
  fill();
  for (const part of [picture, train, notice]) part.retell();
  alter.lay((wanted) => touch({ alter: wanted }));
  if (state.problem) showProblem($("problem"), state.problem.error, state.problem.file);
  if (!state.network) return;
  strip.retell(state.network);
  limits();
  layer.lay(state.network, point, switchOver);
  takeAlong();
  classText();
  if (view.picture) photo.retell(state.network);
  if (!state.look) return;
  photo.seen(state);
  answer.draw(state.told);
  changed();
  drawChosen();
}

function begin() {
  fill();
  $("language").addEventListener("click", () => {
    speakOther();
    retell();
  });
  token.adopt();
  const chooseModel = (name, version) => {
    notice.clear();
    guard(() => useModel(name, version));
  };
  $("model").addEventListener("change", () => chooseModel($("model").value));
  $("version").addEventListener("change", () => chooseModel(view.model, Number($("version").value)));
  picture.listen(choose, failed);
  strip.watch(() => {
    if (!state.network) return;
    strip.lay(state.network, point);
    if (state.look) guard(() => strip.draw(state.look).then(drawChosen));
  });
  cover.listen((rectangle) => touch({ cover: rectangle }), () => state.network, (cell) => view.layer && overInput(cell));
  $("invite-cover").addEventListener("click", () => {
    cover.arm(!view.cover);
    touch({ cover: view.cover ? null : cover.middle(state.network.input) });
    if (view.cover) $("seen-plate").focus({ preventScroll: false });
  });
  $("invite-alter").addEventListener("click", () => {
    $("alter").hidden = !$("alter").hidden;
    $("invite-alter").setAttribute("aria-expanded", String(!$("alter").hidden));
  });
  alter.lay((wanted) => touch({ alter: wanted }));
  $("invite-off").addEventListener("click", () => (maskText() ? touch({ mask: new Map() }) : switchOver(view.layer, view.channel)));
  $("changed").lastElementChild.addEventListener("click", () => {
    cover.arm(false);
    touch({ cover: null, alter: alter.none(), mask: new Map() });
  });
  $("keep").addEventListener("click", () => {
    if (!state.look) return;
    compare.keep(state);
    drawChosen();
  });
  $("opened").addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const chip = [...$("layer-list").children].find((node) => node.textContent === view.layer);
    (opener?.isConnected ? opener : chip)?.focus();
  });
  $("to-class").addEventListener("click", (event) => {
    event.preventDefault(); // the address is the view's
    $("blueprint").scrollIntoView();
    $("class").querySelector(".line").focus({ preventScroll: true });
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("samples").querySelector("button")?.focus();
  });
  address.listen(() => guard(go));
  guard(async () => {
    // Nothing is shown before everything has its place, so that nothing moves afterwards.
    await picture.samples();
    await go();
  }).finally(() => ($("page").hidden = false));
  train.prepare((name) => {
    $("first").scrollIntoView();
    chooseModel(name);
  });
}

/** The pointer over what the network gets: the number in the same place of the chosen layer. */
function overInput([y, x]) {
  const { input, layers } = state.network;
  const [, height, width] = named(layers, view.layer).output;
  if (!height || !state.look) return;
  point({ cell: [Math.floor((y * height) / input.height), Math.floor((x * width) / input.width)] }, false);
}

begin();
