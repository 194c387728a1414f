// The page's words in the reader's language: one file a language, and nothing written anywhere else.

import chinese from "./chinese.js";
import english from "./english.js";

const LANGUAGES = { en: english, zh: chinese };
const KEY = "convscope-language";

let language = first();

function first() {
  const wanted = [localStorage.getItem(KEY), ...navigator.languages.map((tag) => tag.split("-")[0])];
  return wanted.find((code) => code in LANGUAGES) ?? "en";
}

/** The words called `key`, made with what they speak of. */
export function t(key, ...about) {
  const words = LANGUAGES[language][key];
  return typeof words === "function" ? words(...about) : (words ?? key);
}

/** Whether there are words called `key`. */
export const has = (key) => key in LANGUAGES[language];

/** The language of the page, as an HTML tag names it. */
export const spoken = () => language;

/** Goes on in the other language, on the next visit too. */
export function switchOver() {
  const codes = Object.keys(LANGUAGES);
  language = codes[(codes.indexOf(language) + 1) % codes.length];
  localStorage.setItem(KEY, language);
}

/** Fills what the HTML only names: `data-t` is an element's text, `data-t-aria-label` its attribute. */
export function fill(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  document.title = t("title");
  document.getElementById("language").lang = language === "zh" ? "en" : "zh-Hans";
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-aria-label]")) node.setAttribute("aria-label", t(node.dataset.tAriaLabel));
  for (const node of root.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}
