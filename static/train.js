// The training panel: start a run, or follow one that is going on.

import { json, send, token } from "./api.js";
import { $, h, showProblem } from "./dom.js";
import { Run } from "./run.js";

let following = null;

/** Prepares the form; `onModel(name)` is called when a run has made a model that can be chosen. */
export async function prepare(onModel) {
  $("train-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => start(onModel));
  });
  $("runs").addEventListener("change", () => attempt(() => follow($("runs").value, onModel)));
  askForToken();
  if (token.read()) await attempt(() => listRuns(onModel));
}

/** Every admin request passes here: a refused token is asked for again, and the server's sentence is shown. */
async function attempt(work) {
  try {
    showProblem($("train-problem"), null);
    await work();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401 || error.status === 403) token.forget();
    askForToken();
    showProblem($("train-problem"), error);
  }
}

function askForToken() {
  const known = Boolean(token.read());
  $("token-field").hidden = known;
  $("token").required = !known;
}

async function start(onModel) {
  if (!token.read()) token.keep($("token").value.trim());
  const epochs = Number($("epochs").value) || undefined; // none: the recipe decides
  const { job } = await send("admin/train", { arch: $("arch").value.trim(), data: $("data").value.trim(), epochs });
  $("token").value = "";
  askForToken();
  await listRuns(onModel, job.id);
}

async function listRuns(onModel, chosen) {
  const { jobs } = await json("admin/jobs", { admin: true });
  $("runs-field").hidden = jobs.length === 0;
  $("runs").replaceChildren(
    h("option", { value: "", disabled: true }, "choose one"),
    ...jobs.map((job) => h("option", { value: job.id }, `${job.arch} on ${job.data} · ${job.state} · ${job.id}`)),
  );
  const id = chosen ?? jobs.find((job) => job.state === "running")?.id;
  $("runs").value = id ?? "";
  if (id) await follow(id, onModel);
}

async function follow(id, onModel) {
  following?.abort();
  following = new AbortController();
  const { job } = await json(`admin/jobs/${encodeURIComponent(id)}`, { admin: true, signal: following.signal });
  const run = new Run(job, { onModel, cancel: () => attempt(() => send(`admin/jobs/${encodeURIComponent(id)}/cancel`)) });
  $("run").replaceChildren(run.node);
  $("run").hidden = false;
  await run.watch(following.signal);
}
