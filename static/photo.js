// The picture as it came, with what is cut out of it, and as the network gets it.

import * as cover from "./cover.js";
import { $, showBlob } from "./dom.js";
import { t } from "./texts.js";
import { view } from "./view.js";

const TRAINED = "horse"; // the one sample that is of the training set
const ALIKE = 20; // of 255: two ways of shrinking the same picture differ by less

/** The picture as it came. */
export async function given() {
  const { file } = view.picture;
  const image = $("given");
  retell();
  await showBlob(image, file).catch(() => (image.hidden = true)); // the server says what is wrong with it
  const { naturalWidth: width, naturalHeight: height } = image;
  image.classList.toggle("pixels", width < 200);
  $("given-size").textContent = image.hidden ? "" : `${width} × ${height}`;
}

/** What is said of it. */
export function retell() {
  const { name, label, sample, note } = view.picture;
  $("given").alt = name || t("picture.pasted");
  $("given-note").textContent = note?.() ?? (sample ? t(sample === TRAINED ? "given.trained" : "given.test", label) : "");
}

/** The picture at the network's size. */
export async function see(asked) {
  const file = await asked.seen();
  return { file, bitmap: await createImageBitmap(file) };
}

/** Draws it, and what of the photo it shows. */
export function seen({ seen: { bitmap }, shown, network }) {
  const { width, height } = bitmap;
  const canvas = $("seen");
  Object.assign(canvas, { width, height });
  canvas.setAttribute("aria-label", t("seen.alt", width, height));
  canvas.getContext("2d").drawImage(shown ?? bitmap, 0, 0);
  $("seen-size").textContent = `${width} × ${height}`;
  frame(bitmap, network.input);
  cover.mark(network.input);
}

/** The part of the photo that the network gets: the central one of its proportions, if that is what was cut out. */
function frame(bitmap, { width, height }) {
  const { naturalWidth: w, naturalHeight: ht } = $("given");
  const share = Math.min(w / width, ht / height);
  const [across, down] = [width * share, height * share];
  const fits = across > w - 1 && down > ht - 1;
  $("frame").hidden = $("given").hidden || fits || !isCrop(bitmap, across, down);
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
function isCrop(bitmap, across, down) {
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
  return real.reduce((sum, value, i) => sum + Math.abs(value - mine[i]), 0) / real.length < ALIKE;
}
