// The training panel: start a run, or follow one that is going on.

import { json, send, token } from "./api.js";
import { $, h } from "./dom.js";
import { showProblem } from "./problem.js";
import { Run } from "./run.js";
import { t } from "./texts.js";

const REFUSED = [401, 403];

let following = null;
let onModel = null;
let run = null;
let jobs = [];

/** Prepares the form; `use(name)` is called when a run has made a model that can be chosen. */
export async function prepare(use) {
  onModel = use;
  $("train-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(start);
  });
  $("runs").addEventListener("change", () => attempt(() => follow($("runs").value)));
  askForToken();
  if (token.read()) await attempt(listRuns);
}

/** Says everything again, in another language. */
export function retell() {
  drawRuns();
  run?.retell();
}

/** Every admin request passes here: a token that is refused is asked for again, and what went wrong is said. */
async function attempt(work) {
  try {
    showProblem($("train-problem"), null);
    await work();
  } catch (error) {
    if (error.name === "AbortError") return;
    showProblem($("train-problem"), await explained(error));
    askForToken();
  }
}

/** A 403 may be about the token or about what was asked for; where the token opens the list of runs, it is not the token. */
async function explained(error) {
  if (!REFUSED.includes(error.status)) return error;
  if (error.status === 403 && (await opens(token.read()))) return Object.assign(error, { code: "not_allowed" });
  token.forget();
  return Object.assign(error, { code: "wrong_token" });
}

/** Whether `value` is the server's token. */
async function opens(value) {
  try {
    await json("admin/jobs", { headers: { authorization: `Bearer ${value}` } });
    return true;
  } catch (error) {
    if (REFUSED.includes(error.status)) return false;
    throw error;
  }
}

function askForToken() {
  const known = Boolean(token.read());
  $("token-field").hidden = known;
  $("token-where").hidden = known;
  $("token").required = !known;
}

async function start() {
  if (!token.read()) token.keep($("token").value.trim());
  const epochs = Number($("epochs").value) || undefined; // none: the recipe decides
  const { job } = await send("admin/train", { arch: $("arch").value.trim(), data: $("data").value.trim(), epochs });
  $("token").value = "";
  askForToken();
  await listRuns(job.id);
}

async function listRuns(chosen) {
  ({ jobs } = await json("admin/jobs", { admin: true }));
  drawRuns();
  const id = chosen ?? jobs.find((job) => job.state === "running")?.id;
  $("runs").value = id ?? "";
  if (id) await follow(id);
}

function drawRuns() {
  const { value } = $("runs");
  $("runs-field").hidden = jobs.length === 0;
  $("runs").replaceChildren(
    h("option", { value: "", disabled: true }, t("train.choose")),
    ...jobs.map((job) => h("option", { value: job.id }, `${t("train.on", job.arch, job.data)} · ${t(`state.${job.state}`)} · ${job.id}`)),
  );
  $("runs").value = value;
}

async function follow(id) {
  following?.abort();
  following = new AbortController();
  const { job } = await json(`admin/jobs/${encodeURIComponent(id)}`, { admin: true, signal: following.signal });
  run = new Run(job, { onModel, cancel: () => attempt(() => send(`admin/jobs/${encodeURIComponent(id)}/cancel`)) });
  $("run").replaceChildren(run.node);
  $("run").hidden = false;
  await run.watch(following.signal);
}
