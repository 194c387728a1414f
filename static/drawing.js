// A picture drawn by hand, for a network that has never seen one.

import { $ } from "./dom.js";
import { png } from "./redraw.js";

const PEN = 14;

/** Opens the sheet from its button; `choose(blob)` gets what is on it after each stroke. */
export function listen(choose) {
  const canvas = $("drawing-canvas");
  const context = canvas.getContext("2d");
  let last = null;
  const wipe = () => {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
  };
  const line = (to) => {
    Object.assign(context, { lineWidth: PEN, lineCap: "round", strokeStyle: "#222" });
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...to);
    context.stroke();
    last = to;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = at(event);
    line(last);
  });
  canvas.addEventListener("pointermove", (event) => last && line(at(event)));
  canvas.addEventListener("pointerup", async () => {
    last = null;
    choose(await png(canvas));
  });
  canvas.addEventListener("pointercancel", () => (last = null));
  $("drawing-clear").addEventListener("click", wipe);
  $("drawing-close").addEventListener("click", () => $("drawing").close());
  $("draw").addEventListener("click", () => {
    wipe();
    $("drawing").showModal();
  });
}
