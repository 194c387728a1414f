// The ways a picture comes in: a sample, a file, the camera, a drawing, a drop, the clipboard. All end in `choose(picture)`.

import { blob, json, Refusal } from "./api.js";
import { $, h } from "./dom.js";
import * as drawing from "./drawing.js";
import { t } from "./texts.js";

let known = [];
let choose = null;
let fail = null;
let asked = 0; // for a picture; of several on their way only the last counts

/** Listens; `chosen({ file, name, sample, label })` gets each picture, `failed(error)` what went wrong on the way. */
export function listen(chosen, failed) {
  [choose, fail] = [chosen, failed];
  const pick = (file, name) => {
    if (!file) return;
    asked++;
    press(null);
    choose({ file, name: name ?? file.name ?? "" });
  };
  for (const input of [$("file"), $("camera")]) {
    input.addEventListener("change", () => {
      pick(input.files[0]);
      input.value = ""; // the same file can be chosen again
    });
  }
  $("invite-own").addEventListener("click", () => $("file").click());
  drawing.listen((file) => pick(file, t("drawing.name")));
  dropping(pick);
  document.addEventListener("paste", (event) => {
    if (!event.target.closest?.("input[type=text], input[type=password], textarea")) pick([...event.clipboardData.files][0]);
  });
}

/** Fills the row of samples. */
export async function samples() {
  known = (await json("samples")).samples;
  $("samples").replaceChildren(
    ...known.map(({ name, label }) => {
      const image = h("img.pixels", { src: path(name), alt: "", width: 40, height: 40 });
      const button = h(name === label ? "button.sample" : "button.sample.hard", { type: "button", "aria-pressed": "false", "data-name": name }, image);
      button.addEventListener("click", () => sample(name));
      return button;
    }),
  );
  retell();
}

/** Names of the samples. */
export const names = () => known.map(({ name }) => name);

/** Says everything again, in another language. */
export function retell() {
  for (const button of $("samples").children) {
    const { name } = button.dataset;
    const { label } = known.find((each) => each.name === name);
    const kind = name === "horse" ? "trained" : name === label ? "test" : "hard";
    const said = t(`sample.${kind}`, label);
    Object.assign(button, { title: said, ariaLabel: said });
  }
}

/** Chooses the sample called `name`, covered or altered as `touched` says, and with a note on it. */
export async function sample(name, touched, note = null) {
  const turn = ++asked;
  press(name);
  try {
    const file = await blob(path(name));
    const { label } = known.find((each) => each.name === name);
    if (turn === asked) choose({ file, name, label, sample: name, note }, touched);
  } catch (error) {
    if (turn === asked) fail(error);
  }
}

/** Chooses a picture of one's own again, that this tab still has. */
export function again(picture, touched) {
  asked++;
  press(null);
  choose(picture, touched);
}

const path = (name) => `samples/${encodeURIComponent(name)}`;

function press(chosen) {
  for (const button of $("samples").children) button.setAttribute("aria-pressed", String(button.dataset.name === chosen));
}

/** A file, or a picture dragged out of a web page, dropped anywhere. */
function dropping(pick) {
  const welcome = ({ dataTransfer }) => dataTransfer && ["Files", "text/uri-list"].some((type) => dataTransfer.types.includes(type));
  document.addEventListener("dragover", (event) => {
    if (!welcome(event)) return;
    event.preventDefault();
    $("first").classList.add("over");
  });
  for (const end of ["dragleave", "drop"]) document.addEventListener(end, () => $("first").classList.remove("over"));
  document.addEventListener("drop", async (event) => {
    if (!welcome(event)) return;
    event.preventDefault();
    $("first").scrollIntoView();
    const [file] = event.dataTransfer.files;
    if (file) return pick(file);
    try {
      pick(await fetched(event.dataTransfer.getData("text/uri-list").split(/\r?\n/)[0]), t("picture.dragged"));
    } catch (error) {
      fail(error);
    }
  });
}

/** Of a page's picture the browser may give only the address; this page asks no other host. */
async function fetched(address) {
  const [, type, base64, data] = /^data:([^;,]*)(;base64)?,(.*)$/s.exec(address) ?? [];
  if (data !== undefined && base64) return new Blob([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], { type });
  if (data !== undefined) return new Blob([decodeURIComponent(data)], { type });
  if (new URL(address, location).origin !== location.origin) throw new Refusal("", "only_address", 0);
  return (await fetch(address)).blob();
}
