// What went wrong, in the page's language and a person's units. The server's own sentences speak to programs too.

import { megabytes } from "./format.js";
import { has, t } from "./texts.js";

/** A sentence about `error`; `file` is the picture it is about, if it is about one. */
export function sentence(error, file) {
  const about = file && { name: file.name || t("picture.pasted"), size: megabytes(file.size) };
  if (about && has(`error.picture.${error.code}`)) return t(`error.picture.${error.code}`, about);
  if (has(`error.${error.code}`)) return t(`error.${error.code}`, error.message);
  return error.message;
}

/** Puts the sentence into `place`, or hides it where there is none; brings it into sight. */
export function showProblem(place, error, file) {
  place.hidden = !error;
  place.textContent = error ? sentence(error, file) : "";
  if (!error) return;
  const { top, bottom } = place.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) place.scrollIntoView({ block: "center" });
}
