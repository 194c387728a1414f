// The address holds what is looked at: reload, go back, or send it to someone. A picture of one's own travels only as a file.

import { maskText, readMask, view } from "./view.js";

const QUIET = 200; // ms without a change before the address is rewritten
const STEPS = ["model", "version", "sample", "own", "layer", "mask"]; // a change of these is one to go back from

let writing = null;
let arriving = false;

/** The view as the part of the address after `#`. */
function text() {
  const { sample, own } = view.picture ?? {};
  const parts = {
    model: view.model,
    version: view.version,
    sample,
    own: sample ? null : own,
    layer: view.layer,
    channel: view.channel,
    cell: view.cell?.join(),
    scale: view.scale === "layer" ? null : view.scale,
    mask: maskText(),
    cover: view.cover?.join(),
    alter: Object.values(view.alter).some(Boolean) ? Object.values(view.alter).join() : null,
  };
  const given = Object.entries(parts).filter(([, value]) => value != null && value !== "");
  // Commas and colons may stand in an address as they are, and read better.
  return new URLSearchParams(given).toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%3B", ";");
}

/** What the address says; what it does not say is undefined. */
export function read() {
  arriving = true; // what follows from an address takes its place, and is no step to go back from
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const whole = (value) => (/^\d+$/.test(value ?? "") ? Number(value) : undefined);
  const wholes = (value, count) => {
    const numbers = (value ?? "").split(",").map(whole);
    return numbers.length === count && !numbers.includes(undefined) ? numbers : undefined;
  };
  return {
    model: given.model,
    version: whole(given.version),
    sample: given.sample,
    own: whole(given.own),
    layer: given.layer,
    channel: whole(given.channel),
    cell: wholes(given.cell, 2),
    scale: given.scale === "tutorial" ? "tutorial" : "layer",
    mask: readMask(given.mask),
    cover: wholes(given.cover, 4),
    alter: alteration(given.alter),
  };
}

/** `right,down,turn,light`, in whole steps either way. */
function alteration(text) {
  const [, ...parts] = /^(-?\d{1,3}),(-?\d{1,3}),(-?\d{1,3}),(-?\d{1,3})$/.exec(text ?? "") ?? [];
  const [right, down, turn, light] = parts.map(Number);
  return parts.length ? { right, down, turn, light } : undefined;
}

/** Writes the view into the address, once it has been quiet for a moment. */
export function write() {
  clearTimeout(writing);
  writing = setTimeout(put, QUIET);
}

function put() {
  const [now, then] = [text(), location.hash.slice(1)];
  if (now === then) return void (arriving = false);
  const [after, before] = [now, then].map((hash) => new URLSearchParams(hash));
  const step = then && !arriving && STEPS.some((key) => after.get(key) !== before.get(key));
  arriving = false;
  history[step ? "pushState" : "replaceState"](null, "", `#${now}`);
}

/** Calls `go` when someone goes back, or changes the address by hand. */
export function listen(go) {
  addEventListener("popstate", () => {
    clearTimeout(writing);
    if (location.hash.slice(1) !== text()) go();
  });
}
