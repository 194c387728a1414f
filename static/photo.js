// The picture as it came, with what is cut out of it, and as the network gets it.

import * as cover from "./cover.js";
import { $, showBlob } from "./dom.js";
import { t } from "./texts.js";
import { view } from "./view.js";

const TRAINED = "horse"; // the one sample that is of the training set

/** The picture as it came, before `network` has seen it. */
export async function given(network) {
  const { file } = view.picture;
  const image = $("given");
  retell(network);
  await showBlob(image, file).catch(() => (image.hidden = true)); // the server says what is wrong with it
  const { naturalWidth: width, naturalHeight: height } = image;
  image.classList.toggle("pixels", width < 200);
  $("given-size").textContent = image.hidden ? "" : `${width} × ${height}`;
}

/** What is said of it. */
export function retell({ classes }) {
  const { name, label, sample, note } = view.picture;
  const known = sample === TRAINED ? "given.trained" : "given.test";
  $("given").alt = name || t("picture.pasted");
  $("given-note").textContent = note?.() ?? (sample ? t(classes.includes(label) ? known : "given.foreign", label) : "");
}

/** The picture at the network's size. */
export async function see(asked) {
  const file = await asked.seen();
  return { file, bitmap: await createImageBitmap(file) };
}

/** Draws it, what of the photo it shows, and how that came about. */
export function seen({ seen: { bitmap }, shown, network }) {
  const { width, height } = bitmap;
  const canvas = $("seen");
  Object.assign(canvas, { width, height });
  canvas.setAttribute("aria-label", t("seen.alt", width, height));
  canvas.getContext("2d").drawImage(shown ?? bitmap, 0, 0);
  $("seen-size").textContent = `${width} × ${height}`;
  $("seen-how").textContent = `→ ${t("how.input", brought(network))}`;
  retell(network);
  frame(network);
  cover.mark(network.input);
}

/** How the photo became what the network gets, as the model says. */
function brought({ input, fit }) {
  const { naturalWidth: w, naturalHeight: ht, hidden } = $("given");
  const { width, height, channels } = input;
  const unknown = hidden || !w; // the server can read it, the browser cannot
  const same = !unknown && w === width && ht === height;
  return { width, height, grey: channels === 1, how: same ? "same" : (fit ?? "unknown"), larger: !unknown && Math.min(w / width, ht / height) < 1 };
}

/** The part of the photo that the network gets: the central one of its proportions, where the model crops. */
function frame({ input: { width, height }, fit }) {
  const { naturalWidth: w, naturalHeight: ht, hidden } = $("given");
  const share = Math.min(w / width, ht / height);
  const [across, down] = [width * share, height * share];
  const whole = across > w - 1 && down > ht - 1;
  $("frame").hidden = hidden || whole || fit !== "crop";
  const most = Math.max(w, ht);
  const percentOf = (pixels) => `${(100 * pixels) / most}%`;
  Object.assign($("frame").style, {
    left: percentOf((most - across) / 2),
    top: percentOf((most - down) / 2),
    width: percentOf(across),
    height: percentOf(down),
  });
}
