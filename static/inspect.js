// One channel, enlarged, with its numbers; arrow keys go through the layer.

import { blob } from "./api.js";
import { $, h, showBlob, showProblem } from "./dom.js";
import { number, percent } from "./format.js";

let open = null;

/** Opens the dialog on `channel` of a layer whose picture and summary were just shown. */
export function inspect(about) {
  open = about;
  $("inspect").showModal();
  draw();
}

async function draw() {
  try {
    showProblem($("inspect-problem"), null);
    await show();
  } catch (error) {
    showProblem($("inspect-problem"), error);
  }
}

async function show() {
  const { layer, path, ask, model, summary, channel } = open;
  const { min, max, mean, zeros } = summary.channels[channel];
  $("inspect-title").textContent = `${layer.name}, channel ${channel} (of 0 to ${layer.output[0] - 1})`;
  const facts = [["smallest", number(min)], ["largest", number(max)], ["mean", number(mean)], ["zeros", percent(zeros)]];
  $("inspect-facts").replaceChildren(h("dl.facts", {}, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
  $("inspect-image").alt = `Channel ${channel} of ${layer.name}, ${layer.output[2]} × ${layer.output[1]}`;
  await showBlob($("inspect-image"), await blob(path, { ...ask, query: { model, channel, zoom: 1 } }));
}

function step(by) {
  const channels = open.layer.output[0];
  open = { ...open, channel: (open.channel + by + channels) % channels };
  draw();
}

$("inspect-previous").addEventListener("click", () => step(-1));
$("inspect-next").addEventListener("click", () => step(1));
$("inspect-close").addEventListener("click", () => $("inspect").close());
$("inspect").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close(); // the backdrop
});
$("inspect").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
