// Every layer a section, in order. Grids are asked for when they come near the screen, and again when the picture changes.

import { json } from "./api.js";
import { $, h, showProblem } from "./dom.js";
import { count, shape } from "./format.js";
import { Grid } from "./grid.js";
import { LAST, words } from "./words.js";

const sections = new Map();
let shown = null;

const nearby = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const section = sections.get(target);
      section.near = isIntersecting;
      if (isIntersecting) refresh(section);
    }
  },
  { rootMargin: "300px" },
);

/** Lays out the layers of `model`, empty until `show` is called. */
export async function layOut(model, signal) {
  const { layers } = await json("layers", { query: { model }, signal });
  nearby.disconnect();
  sections.clear();
  const nodes = layers.map((layer, i) => section(layer, i, i === layers.length - 1));
  $("layer-sections").replaceChildren(...nodes);
  $("layer-list").replaceChildren(...layers.map(({ name }) => h("a", { href: `#layer-${name}` }, name)));
  nodes.forEach((node) => nearby.observe(node));
}

/** Shows what each layer makes of `picture`. */
export function show(picture, { model, signal }) {
  shown = { picture, model, signal };
  for (const each of sections.values()) if (each.near) refresh(each);
}

async function refresh(section) {
  if (!shown || section.shown === shown) return;
  const asked = (section.shown = shown);
  section.node.setAttribute("aria-busy", "true");
  try {
    await section.grid.load(asked);
    showProblem(section.problem, null);
  } catch (error) {
    if (error.name === "AbortError") return;
    section.shown = null; // scrolling back tries again
    showProblem(section.problem, error);
  }
  section.node.removeAttribute("aria-busy");
}

function section(layer, index, last) {
  const [kind, what] = words(layer.kind);
  const grid = new Grid(layer);
  const problem = h("p.error", { role: "alert", hidden: true });
  const title = `layer-title-${layer.name}`;
  const node = h(
    "section.layer",
    { id: `layer-${layer.name}`, "aria-labelledby": title },
    h("header", {}, h("h3", { id: title }, h("span.index", {}, String(index + 1)), ` ${layer.name} `, h("small", {}, kind)), facts(layer)),
    h("p.what", {}, what, last ? ` ${LAST}` : ""),
    problem,
    grid.node,
  );
  sections.set(node, { node, grid, problem, near: false, shown: null });
  return node;
}

function facts(layer) {
  const rows = [["gives", shape(layer.output)]];
  if (layer.parameters) rows.push(["parameters", count(layer.parameters)]);
  if (layer.multiply_adds) rows.push(["multiply-adds", count(layer.multiply_adds)]);
  return h("dl.facts", {}, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
