// What an address asks for that is not here, and what is shown in its place.

import { $, h } from "./dom.js";
import { t } from "./texts.js";

let told = [];

/** Says one more thing, in the words called `key`. */
export function tell(key, ...about) {
  told.push([key, about]);
  retell();
}

/** Nothing is left to say. */
export function clear() {
  told = [];
  retell();
}

/** Says everything again, in another language. */
export function retell() {
  $("notice").hidden = !told.length;
  $("notice").replaceChildren(...told.map(([key, about]) => h("span", {}, t(key, ...about), " ")));
}
