// One run of training on the screen: where it stands, its accuracy so far, and what can be done with it.

import { json } from "./api.js";
import { curve } from "./curve.js";
import { h } from "./dom.js";
import { events } from "./events.js";
import { count, duration, megabytes, number, percent } from "./format.js";
import { row } from "./take.js";
import { has, t } from "./texts.js";

const ENDS = ["done", "failed", "cancelled"];
const LIVE = ["queued", "running"];
const COLUMNS = ["epoch", "test_accuracy", "train_accuracy", "train_loss", "learning_rate", "rate"];

/** A run's panel: `node` is its element, `watch` keeps it up to date until the run ends. */
export class Run {
  constructor(job, { onModel, cancel }) {
    Object.assign(this, { job, onModel, stop: cancel, records: [], state: job.state, at: null });
    this.node = h("article.run");
    this.retell();
  }

  /** The model its epochs are versions of. */
  get model() {
    return `run-${this.job.id}`;
  }

  /** Builds the panel in the language of the page. */
  retell() {
    const { job } = this;
    this.status = h("p.status", { "aria-live": "polite" });
    this.progress = h("progress", { max: 1, value: 0, "aria-label": t("run.progress") });
    this.step = h("p.fine");
    this.chart = h("div.chart");
    this.rows = h("tbody");
    this.cancel = h("button", { type: "button", onclick: this.stop }, t("run.cancel"));
    this.use = h("button", { type: "button", hidden: true, onclick: () => this.onModel(this.model) }, t("run.use"));
    const heads = COLUMNS.map((name) => h("th", { scope: "col" }, t(`run.column.${name}`)));
    const table = h("table", {}, h("thead", {}, h("tr", {}, heads)), this.rows);
    this.node.replaceChildren(
      h("header", {}, h("h3", {}, t("train.on", job.arch, job.data)), h("p.actions", {}, this.cancel, this.use, this.results())),
      this.status,
      this.progress,
      this.step,
      h("p.keys", {}, h("span.key.test", {}, t("run.test")), h("span.key.train", {}, t("run.train"))),
      this.chart,
      h("details", {}, h("summary", {}, t("run.numbers")), h("div.scroll", { tabIndex: 0, role: "group", "aria-label": t("run.numbers") }, table)),
    );
    this.draw();
    this.tell();
  }

  /** The command that asks for its figures; the token is the reader's own to fill in. */
  results() {
    const path = `admin/jobs/${encodeURIComponent(this.job.id)}/results`;
    return row(t("take.run"), path, () => ({ query: { format: "csv" }, admin: true }));
  }

  /** Follows the run's events until it has ended or `signal` is given up. */
  async watch(signal) {
    const path = `admin/jobs/${encodeURIComponent(this.job.id)}`;
    const goesOn = async () => {
      const { job } = await json(path, { admin: true, signal });
      this.state = job.state;
      this.draw();
      return LIVE.includes(job.state);
    };
    for await (const { event, data } of events(`${path}/events`, goesOn, signal)) this.take(event, data);
  }

  take(event, data) {
    if (this.state === "queued") this.state = "running"; // what is told of other states may be the past
    if (event === "epoch") {
      this.records = [...this.records.filter((record) => record.epoch < data.epoch), data];
      this.draw();
    } else if (event === "step" || event === "data") {
      this.at = { event, data };
      this.tell();
    } else if (ENDS.includes(event)) {
      this.state = event;
      this.job.error = data.error ?? this.job.error;
      this.draw();
    }
  }

  /** The line that changes with every step. */
  tell() {
    if (!this.at) return;
    const { event, data } = this.at;
    if (event === "data") {
      const key = `run.stage.${data.stage}`;
      const [done, all] = [data.bytes, data.total_bytes].map((bytes) => bytes != null && megabytes(bytes));
      this.step.textContent = has(key) ? t(key, data, done, all) : data.stage;
      return;
    }
    this.progress.value = data.step / data.steps;
    this.step.textContent = t("run.step", data, number(data.train_loss), count(Math.round(data.images_per_second)));
  }

  draw() {
    const last = this.records.at(-1);
    const total = last?.epochs ?? this.job.epochs ?? 1;
    const ended = !LIVE.includes(this.state);
    this.status.textContent = last ? summary(this.state, last) : (this.job.error ?? t(`state.${this.state}`));
    if (ended && this.job.error) this.status.textContent = this.job.error;
    this.status.classList.toggle("error", this.state === "failed");
    for (const part of [this.progress, this.step, this.cancel]) part.hidden = ended;
    this.use.hidden = !last;
    this.chart.replaceChildren(curve(this.records, total));
    this.rows.replaceChildren(...this.records.map(line));
  }
}

const summary = (state, last) =>
  t("run.summary", t(`state.${state}`), last, percent(last.test_accuracy), duration(last.elapsed_seconds * 1000));

const line = (record) =>
  h(
    "tr",
    {},
    [
      record.epoch,
      percent(record.test_accuracy),
      percent(record.train_accuracy),
      number(record.train_loss),
      number(record.learning_rate),
      count(Math.round(record.images_per_second)),
    ].map((value) => h("td", {}, String(value))),
  );
