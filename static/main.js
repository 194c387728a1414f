// The page: one view, one look through the network, and everything else is drawn from the two.

import * as answer from "./answer.js";
import { json, token } from "./api.js";
import * as cover from "./cover.js";
import { $, h, showBlob } from "./dom.js";
import { percent } from "./format.js";
import * as layer from "./layer.js";
import { Look } from "./look.js";
import * as picture from "./picture.js";
import * as pixel from "./pixel.js";
import { sentence, showProblem } from "./problem.js";
import { redrawn } from "./redraw.js";
import { named } from "./stages.js";
import * as strip from "./strip.js";
import { fill, t } from "./texts.js";
import * as train from "./train.js";
import { maskText, query, switched, view, which } from "./view.js";

const FIRST_MODEL = "tutorial";
const FIRST_SAMPLE = "horse";
const PATIENCE = 300; // ms for which an older answer may still be seen, faded, while the new one is on its way
const READ_OTHERWISE = ["unsupported_image", "bad_image", "image_too_large", "body_too_large"];

/** The network as `/layers` and `/models` tell of it, the look at it, and how the untouched picture was answered. */
const state = { network: null, look: null, seen: null, before: null };

/** Each call gives up what the one before it began. */
function latest() {
  let work = new AbortController();
  return () => {
    work.abort();
    work = new AbortController();
    return work.signal;
  };
}
const newest = { look: latest(), model: latest() };

/** Runs `task`; what stopped it is said, and leaves no older answer standing. Giving up in favour of newer work is no problem. */
async function guard(task, file) {
  try {
    showProblem($("problem"), null);
    await task();
  } catch (error) {
    if (error.name !== "AbortError") failed(error, file);
  }
}

function failed(error, file) {
  clear();
  if (error instanceof TypeError || error instanceof RangeError) console.error(error);
  showProblem($("problem"), error, file);
}

function clear() {
  state.look = null;
  for (const part of [answer, strip, layer, pixel]) part.clear();
  for (const mark of ["field", "cover", "frame", "changed"]) $(mark).hidden = true;
  $("seen").getContext("2d").clearRect(0, 0, $("seen").width, $("seen").height);
  busy(false);
}

const busy = (on) => $("strip").setAttribute("aria-busy", String(on));

/** Looks at a new picture; what the server cannot read and the browser can is drawn again. */
function choose(chosen) {
  Object.assign(view, { picture: { note: "", ...chosen }, cover: null });
  state.seen = state.before = null;
  cover.arm(false);
  busy(true);
  guard(async () => {
    await given();
    try {
      await look();
    } catch (error) {
      if (!READ_OTHERWISE.includes(error.code) || view.picture.file !== chosen.file) throw error;
      const file = await redrawn(chosen.file).catch(() => null);
      if (!file || view.picture.file !== chosen.file) throw error;
      Object.assign(view.picture, { file, note: t("given.redrawn", sentence(error, chosen.file)) });
      await given();
      await look();
    }
  }, chosen.file);
}

/** The picture as it came. */
async function given() {
  const { file, name, sample, note } = view.picture;
  const image = $("given");
  image.alt = name || t("picture.pasted");
  await showBlob(image, file).catch(() => (image.hidden = true)); // the server says what is wrong with it
  const { naturalWidth: width, naturalHeight: height } = image;
  image.classList.toggle("pixels", width < 200);
  $("given-size").textContent = image.hidden ? "" : `${width} × ${height}`;
  $("given-note").textContent = note || (sample ? t(sample === FIRST_SAMPLE ? "given.trained" : "given.test", sample) : "");
}

/** Everything the page knows of the view's picture. */
async function look() {
  if (!view.picture || !state.network) return;
  const signal = newest.look();
  busy(true);
  const late = setTimeout(clear, PATIENCE);
  signal.addEventListener("abort", () => clearTimeout(late), { once: true });
  try {
    // Already at the network's size, it passes preprocessing unchanged: a large photo crosses the wire once.
    state.seen ??= await see(new Look(view.picture.file, which(), signal));
    const body = view.cover ? await cover.covered(state.seen.bitmap, view.cover) : state.seen.file;
    const next = new Look(body, query(), signal);
    const untouched = !view.cover && !maskText();
    const scores = state.network.layers.at(-1).name;
    const [told, last] = await Promise.all([next.answer(), next.layer(scores), next.layer("input"), strip.draw(next)]);
    clearTimeout(late);
    state.look = next;
    if (untouched) state.before = told;
    else state.before ??= await new Look(state.seen.file, which(), signal).answer();
    showSeen();
    answer.draw({ answer: told, classes: state.network.classes, scores: last.values, before: untouched ? null : state.before });
    changed(told);
    drawChosen();
    busy(false);
  } finally {
    clearTimeout(late);
  }
}

/** The picture at the network's size. */
async function see(asked) {
  const file = await asked.seen();
  return { file, bitmap: await createImageBitmap(file) };
}

function showSeen() {
  const { bitmap } = state.seen;
  const { width, height } = bitmap;
  const canvas = $("seen");
  Object.assign(canvas, { width, height });
  canvas.setAttribute("aria-label", t("seen.alt", width, height));
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  $("seen-size").textContent = `${width} × ${height}`;
  frame();
  cover.mark(state.network.input);
}

/** The part of the photo that the network gets: the central one of its proportions, if that is what was cut out. */
function frame() {
  const { naturalWidth: w, naturalHeight: ht } = $("given");
  const { width, height } = state.network.input;
  const share = Math.min(w / width, ht / height);
  const [across, down] = [width * share, height * share];
  const fits = across > w - 1 && down > ht - 1;
  $("frame").hidden = $("given").hidden || fits || !isCrop(across, down);
  const most = Math.max(w, ht);
  const percentOf = (pixels) => `${(100 * pixels) / most}%`;
  Object.assign($("frame").style, {
    left: percentOf((most - across) / 2),
    top: percentOf((most - down) / 2),
    width: percentOf(across),
    height: percentOf(down),
  });
}

/** A model may stretch or pad instead; its own view of the picture tells. */
function isCrop(across, down) {
  const { bitmap } = state.seen;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pixels = () => context.getImageData(0, 0, canvas.width, canvas.height).data;
  context.drawImage(bitmap, 0, 0);
  const real = pixels();
  const { naturalWidth: w, naturalHeight: ht } = $("given");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage($("given"), (w - across) / 2, (ht - down) / 2, across, down, 0, 0, canvas.width, canvas.height);
  const mine = pixels();
  return real.reduce((sum, value, i) => sum + Math.abs(value - mine[i]), 0) / real.length < 20;
}

/** What is covered or switched off, and what that did. */
function changed(told) {
  const what = [view.cover && t("changed.cover"), maskText() && t("changed.mask", maskText())].filter(Boolean).join(t("comma"));
  $("changed").hidden = !what;
  $("invite-cover").setAttribute("aria-pressed", String(Boolean(view.cover)));
  $("invite-off").setAttribute("aria-pressed", String(Boolean(maskText())));
  if (!what) return;
  const { label, probability } = state.before;
  $("changed").firstChild.textContent = t("changed", what, label, percent(probability), percent(told.probabilities[label]));
}

/** Where one looks: `opens` also brings the opened layer into sight. */
function point(where, opens) {
  const before = view.layer;
  Object.assign(view, where);
  const { layers } = state.network;
  const chosen = named(layers, view.layer) ?? layers[0];
  const [channels, height = 1, width = 1] = chosen.output;
  view.layer = chosen.name;
  view.channel = Math.min(view.channel, channels - 1);
  view.cell = [Math.min(view.cell[0], height - 1), Math.min(view.cell[1], width - 1)];
  if (view.layer !== before) layer.lay(state.network, point, switchOver);
  if (opens) {
    $("layers").scrollIntoView();
    $("opened-title").focus({ preventScroll: true });
  }
  drawChosen();
}

function drawChosen() {
  if (!state.look) return;
  strip.mark(state.network);
  const ignore = (error) => error.name !== "AbortError" && showProblem($("problem"), error);
  layer.draw(state).catch(ignore);
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

async function useModel(name, version = null) {
  const signal = newest.model();
  const { models } = await json("models", { signal });
  const model = models.find((each) => each.name === name) ?? models.find((each) => each.default) ?? models[0];
  if (!model) throw new Error(t("error.no_model"));
  $("model").replaceChildren(...models.map((each) => h("option", { value: each.name }, each.name)));
  $("model").disabled = models.length < 2;
  $("model").value = model.name;
  Object.assign(view, { model: model.name, version, mask: new Map(), cover: null });
  const network = await json("layers", { query: which(), signal });
  state.network = { ...network, classes: model.classes, accuracy: model.accuracy };
  state.look = state.seen = state.before = null;
  strip.lay(state.network, point);
  answer.lay(model.classes);
  limits();
  const first = named(network.layers, view.layer) ?? network.layers[0];
  Object.assign(view, { layer: first.name, channel: 0, cell: first.output.length > 1 ? first.output.slice(1).map((size) => Math.floor(size / 2)) : [0, 0] });
  layer.lay(state.network, point, switchOver);
  await look();
}

function limits() {
  const { classes, accuracy } = state.network;
  const measured = accuracy ? ` ${t("limits.measured", percent(accuracy.accuracy), accuracy.images)}` : "";
  $("limits").textContent = t("limits", view.model, classes.length, classes.join(t("comma"))) + measured;
}

function begin() {
  fill();
  token.adopt();
  $("model").addEventListener("change", () => guard(() => useModel($("model").value)));
  picture.listen(choose, failed);
  strip.onTurn(() => {
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
  $("invite-off").addEventListener("click", () => (maskText() ? touch({ mask: new Map() }) : switchOver(view.layer, view.channel)));
  $("changed").lastElementChild.addEventListener("click", () => {
    cover.arm(false);
    touch({ cover: null, mask: new Map() });
  });
  guard(async () => {
    // Nothing is shown before everything has its place, so that nothing moves afterwards.
    const [names] = await Promise.all([picture.samples(), useModel(FIRST_MODEL)]).finally(() => ($("page").hidden = false));
    await picture.sample(names.includes(FIRST_SAMPLE) ? FIRST_SAMPLE : names[0]);
  });
  train.prepare((name) => {
    $("first").scrollIntoView();
    guard(() => useModel(name));
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
