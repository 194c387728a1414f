// What can be taken along: files of what is shown, and the command that asks the server for the same.

import { request } from "./api.js";
import { h } from "./dom.js";
import { sentence } from "./problem.js";
import { t } from "./texts.js";
import { view } from "./view.js";

const NAMES = { png: "png", npy: "npy", json: "json" };

/** Buttons for files of `path`, and its command. `ask` gives `{ body, query }` at the time of the press. */
export function row(label, path, ask, formats = []) {
  const said = h("span.said", { role: "status" });
  const file = (format) => {
    const button = h("button.small", { type: "button", "aria-label": t("take.file", format.toUpperCase(), label) }, format.toUpperCase());
    button.addEventListener("click", () => tell(said, () => save(path, ask(), format, label)));
    return button;
  };
  const command = h("button.small.command", { type: "button", "aria-label": t("take.command.of", label) }, t("take.command"));
  command.addEventListener("click", () => tell(said, () => copy(curl(path, ask()))));
  return h("span.take", {}, formats.map(file), command, said);
}

async function tell(said, work) {
  try {
    said.textContent = t(await work());
  } catch (error) {
    said.textContent = sentence(error);
  }
}

async function save(path, { body, query }, format, label) {
  const how = body ? { method: "POST", body } : {};
  const response = await request(path, { ...how, query: { ...query, format } });
  const link = h("a", { href: URL.createObjectURL(await response.blob()), download: `${label}.${NAMES[format]}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return "take.saved";
}

/** The picture in view, as a command can name it. */
export function pictured() {
  const { sample, file } = view.picture;
  return { sample, file: file?.name, altered: Boolean(view.cover) || Object.values(view.alter).some(Boolean) };
}

/** A command for a shell. A sample is asked for by name; a picture of one's own is a file that is at hand. */
export function curl(path, { body, query, admin, picture = null }) {
  const given = Object.entries(query).filter(([, value]) => value != null && value !== "");
  const url = (to, parameters = []) => quoted(`${new URL(to, location.href.split("#")[0])}${parameters.length ? `?${new URLSearchParams(parameters)}` : ""}`);
  const how = admin ? '-H "Authorization: Bearer $TOKEN" ' : path.endsWith("/file") ? "-OJ " : "";
  if (!body) return `curl ${how}${url(path, given)}`;
  const { sample, file, altered } = picture ?? pictured();
  if (sample && !altered && /^(featuremaps|layers)\//.test(path)) return `curl ${url(path, [...given, ["sample", sample]])}`;
  if (sample && !altered) return `curl -s ${url(`samples/${encodeURIComponent(sample)}`)} | curl --data-binary @- ${url(path, given)}`;
  // What is covered or altered is a picture of its own: “What the network gets” can be saved.
  return `curl --data-binary ${quoted(`@${altered ? "input.png" : file || "picture.png"}`)} ${url(path, given)}`;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Into the clipboard; by the older way where the page did not come over TLS. */
export async function copy(text) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else {
    const sheet = h("textarea.unseen", { value: text, readOnly: true });
    const before = document.activeElement;
    (before.closest("dialog") ?? document.body).append(sheet);
    sheet.select();
    const done = document.execCommand("copy");
    sheet.remove();
    before.focus();
    if (!done) throw new Error(text);
  }
  return "take.copied";
}
