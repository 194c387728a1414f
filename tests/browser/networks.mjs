// Networks other than the bundled one, trained for the check: every kind of layer, and classes called 1, 2 … 12.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { png } from "./ways.mjs";

const CLASSES = 12;
const conv = { kind: "conv2d", out_channels: 8, kernel_size: 3, padding: 1 };

/** A layer list with a shortcut, two norms, and every bend and pool. */
export const MIXED = {
  name: "mixed",
  input: { channels: 3, height: 32, width: 32 },
  layers: [
    { name: "conv1", ...conv, stride: 2, bias: false },
    { name: "norm1", kind: "batch_norm2d" },
    { name: "act1", kind: "gelu" },
    { name: "conv2", ...conv, groups: 2 },
    { name: "short", kind: "add", from: "act1" },
    { name: "act2", kind: "silu" },
    { name: "pool2", kind: "avg_pool2d", kernel_size: 3, stride: 2, padding: 1 },
    { name: "conv3", kind: "conv2d", out_channels: 12, kernel_size: 1 },
    { name: "act3", kind: "relu" },
    { name: "pool3", kind: "max_pool2d", kernel_size: 3, stride: 2, padding: 1 },
    { name: "mean", kind: "adaptive_avg_pool2d", output_size: 1 },
    { name: "flat", kind: "flatten" },
    { name: "drop", kind: "dropout", p: 0.1 },
    { name: "score", kind: "linear", out_features: CLASSES },
  ],
};

/** Folders of plain pictures, a class each. */
export async function pictures(folder) {
  for (const part of ["train", "test"]) {
    for (let name = 1; name <= CLASSES; name++) {
      await mkdir(join(folder, part, String(name)), { recursive: true });
      for (let i = 0; i < 4; i++) {
        const picture = png(32, 32, (x, y) => [(name * 20 + i * 3) & 255, (x * name + i) & 255, (y * 7 + name * 11) & 255]);
        await writeFile(join(folder, part, String(name), `${i}.png`), picture);
      }
    }
  }
}

/** Trains `arch` for an epoch on `data`; gives the model's name. */
export async function train(url, token, { arch, data }) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const asked = await fetch(`${url}admin/train`, { method: "POST", headers, body: JSON.stringify({ arch, data, epochs: 1, batch_size: 16 }) });
  const { job, error } = await asked.json();
  assert.ok(job, error);
  const events = await fetch(`${url}admin/jobs/${job.id}/events`, { headers });
  const told = await events.text(); // ends with the run
  assert.match(told, /event: ?done/, told.slice(-400));
  return `run-${job.id}`;
}

/** Classes stay in the model's own order, whatever they are called. */
export async function inOrder(page, url, model) {
  await page.goto(`${url}#model=${model}&sample=frog`);
  await page.waitForFunction((name) => document.querySelector("#limits").textContent.startsWith(name), model);
  await page.waitForFunction(() => document.querySelector("#bars .best"));
  const names = await page.locator("#bars .name").allTextContents();
  const { models } = await (await fetch(`${url}models`)).json();
  assert.deepEqual(names, models.find(({ name }) => name === model).classes);
  assert.notDeepEqual(names, [...names].sort((a, b) => a - b), "these classes would be in order anyhow");
  assert.equal(await page.innerText("#bars .best .name"), await page.innerText("#label b"));
}
