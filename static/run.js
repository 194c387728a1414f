// One run of training on the screen: where it stands, its accuracy so far, and what can be done with it.

import { json } from "./api.js";
import { curve } from "./curve.js";
import { h } from "./dom.js";
import { events } from "./events.js";
import { count, duration, number, percent } from "./format.js";

const ENDS = ["done", "failed", "cancelled"];
const LIVE = ["queued", "running"];
const STAGES = {
  reading: () => "reading the data set",
  ready: (data) => `${count(data.train_images)} pictures to train on, ${count(data.test_images)} to measure with`,
};
const COLUMNS = ["epoch", "test accuracy", "training accuracy", "training loss", "learning rate", "images a second"];

/** A run's panel: `node` is its element, `watch` keeps it up to date until the run ends. */
export class Run {
  constructor(job, { onModel, cancel }) {
    Object.assign(this, { job, onModel, records: [], state: job.state });
    this.status = h("p.status", { "aria-live": "polite" });
    this.progress = h("progress", { max: 1, value: 0, "aria-label": "This epoch" });
    this.step = h("p.fine");
    this.chart = h("div.chart");
    this.rows = h("tbody");
    this.cancel = h("button", { type: "button", onclick: cancel }, "Cancel");
    this.use = h("button", { type: "button", hidden: true, onclick: () => onModel(this.model) }, "Look through this network");
    const table = h("table", {}, h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, name)))), this.rows);
    const legend = h("p.keys", {}, h("span.key.test", {}, "test pictures"), h("span.key.train", {}, "training pictures"));
    this.node = h(
      "article.run",
      {},
      h("header", {}, h("h3", {}, `${job.arch} on ${job.data}`), h("p.actions", {}, this.cancel, this.use)),
      this.status,
      this.progress,
      this.step,
      legend,
      this.chart,
      h("details", {}, h("summary", {}, "Every epoch in numbers"), h("div.scroll", {}, table)),
    );
    this.draw();
  }

  /** The model its epochs are versions of. */
  get model() {
    return `run-${this.job.id}`;
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
    } else if (event === "step") {
      this.progress.value = data.step / data.steps;
      this.step.textContent = `epoch ${data.epoch}, step ${data.step} of ${data.steps}, loss ${number(data.train_loss)}, ${count(Math.round(data.images_per_second))} images a second`;
    } else if (event === "data") {
      this.step.textContent = STAGES[data.stage]?.(data) ?? data.stage;
    } else if (ENDS.includes(event)) {
      this.state = event;
      this.job.error = data.error ?? this.job.error;
      this.draw();
    }
  }

  draw() {
    const last = this.records.at(-1);
    const total = last?.epochs ?? this.job.epochs ?? 1;
    const ended = !LIVE.includes(this.state);
    this.status.textContent = last ? summary(this.state, last) : (this.job.error ?? this.state);
    if (ended && this.job.error) this.status.textContent = this.job.error;
    this.status.classList.toggle("error", this.state === "failed");
    for (const part of [this.progress, this.step, this.cancel]) part.hidden = ended;
    this.use.hidden = !last;
    this.chart.replaceChildren(curve(this.records, total));
    this.rows.replaceChildren(...this.records.map(row));
  }
}

function summary(state, last) {
  const measured = `${percent(last.test_accuracy)} of ${count(last.test_images)} test pictures right`;
  return `${state}: epoch ${last.epoch} of ${last.epochs}, ${measured}, after ${duration(last.elapsed_seconds * 1000)}`;
}

const row = (record) =>
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
