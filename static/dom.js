// Elements without markup strings: text can never become HTML, and nothing needs an inline style.

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** `h("p.fine", { id: "x" }, "text", child)`: an element with classes, properties or attributes, and children. */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

/** A window of small cells, `side` of them a row. */
export function grid(side, cells) {
  const node = h("span.cells", {}, cells);
  node.style.gridTemplateColumns = `repeat(${side}, 2.15rem)`;
  return node;
}

/** The same for SVG, where everything is an attribute. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Shows `blob` in `image` and lets go of the one shown before. */
export async function showBlob(image, blob) {
  const before = image.src;
  image.src = URL.createObjectURL(blob);
  image.hidden = false;
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
  await image.decode();
}
