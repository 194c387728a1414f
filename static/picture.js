// The ways a picture comes in: a sample, a file, the camera, a drop, the clipboard. All end in `choose(blob, name)`.

import { blob, json } from "./api.js";
import { $, h } from "./dom.js";

/** Fills the samples and listens; shows the first sample. `problem` is told what went wrong. */
export async function listen(choose, problem) {
  const pick = (file) => {
    if (!file) return;
    press(null);
    choose(file, file.name || "pasted picture");
  };
  for (const input of [$("file"), $("camera")]) {
    input.addEventListener("change", () => {
      pick(input.files[0]);
      input.value = ""; // the same file can be chosen again
    });
  }
  dropping(pick);
  document.addEventListener("paste", (event) => pick([...event.clipboardData.files][0]));
  await samples(choose, problem);
}

async function samples(choose, problem) {
  const { samples } = await json("samples");
  const buttons = samples.map(({ name }) => {
    const image = h("img.pixels", { src: samplePath(name), alt: "", width: 48, height: 48 });
    const button = h("button.sample", { type: "button", title: name, "aria-label": name, "aria-pressed": "false" }, image);
    button.addEventListener("click", async () => {
      press(button);
      try {
        choose(await blob(samplePath(name)), name);
      } catch (error) {
        problem(error);
      }
    });
    return button;
  });
  $("samples").replaceChildren(...buttons);
  buttons[0]?.click();
}

const samplePath = (name) => `samples/${encodeURIComponent(name)}`;

function press(chosen) {
  for (const button of $("samples").children) button.setAttribute("aria-pressed", String(button === chosen));
}

function dropping(pick) {
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    $("drop").classList.add("over");
  });
  for (const end of ["dragleave", "drop"]) document.addEventListener(end, () => $("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    pick(event.dataTransfer.files[0]);
  });
}
