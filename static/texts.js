// The page's words in the reader's language: one file a language, and nothing written anywhere else.

import english from "./english.js";

const LANGUAGES = { en: english };
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

/** Changes the language, for the next visit too. */
export function speak(code) {
  language = code;
  localStorage.setItem(KEY, code);
}

/** Fills what the HTML only names: `data-t` is an element's text, `data-t-aria-label` its attribute. */
export function fill(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  document.title = t("title");
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-aria-label]")) node.setAttribute("aria-label", t(node.dataset.tAriaLabel));
  for (const node of root.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}
