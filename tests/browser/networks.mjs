// Networks other than the bundled one, trained for the check: every kind of layer, and classes called 1, 2 … 12.

import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
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

/** One sheet of brightness instead of three of colours. */
export const GREY = {
  name: "grey",
  input: { channels: 1, height: 28, width: 28 },
  layers: [
    { name: "conv1", ...conv },
    { name: "act1", kind: "tanh" },
    { name: "pool1", kind: "avg_pool2d", kernel_size: 2 },
    { name: "flat", kind: "flatten" },
    { name: "score", kind: "linear", out_features: CLASSES },
  ],
};

/** The layer list of an architecture file: words, numbers and one inline table are all that there is in it. */
export async function written(file) {
  const value = (text) => (text.startsWith("{") ? Object.fromEntries(text.slice(1, -1).split(",").map(pair)) : JSON.parse(text));
  const pair = (text) => [text.slice(0, text.indexOf("=")).trim(), value(text.slice(text.indexOf("=") + 1).trim())];
  const [head, ...layers] = (await readFile(file, "utf8")).split("[[layers]]");
  const table = (text) => Object.fromEntries(text.split("\n").filter((line) => line.includes("=") && !line.startsWith("#")).map(pair));
  return { ...table(head), layers: layers.map(table) };
}

/** A network that trains in seconds: its strip is whole, each of its layers opens, and its class has no bias where it has none. */
export async function whole(page, { layers }) {
  const opens = layers.filter(({ kind }) => /conv2d|pool2d|linear/.test(kind)).slice(0, -1);
  assert.deepEqual(await page.locator(".stage .caption b").allTextContents(), opens.map(({ name }) => name));
  const bare = await page.locator(".stage canvas:first-child").evaluateAll((all) => all.filter((node) => new Set(new Uint32Array(node.getContext("2d").getImageData(0, 0, node.width, node.height).data.buffer)).size < 9).length);
  assert.equal(bare, 0, "a stage is empty");
  const how = await page.locator(".stage .how").allInnerTexts();
  assert.match(how[0], /24 filters of 2×2×3/);
  assert.match(how[1], /GELU, 64 filters of 3×3×24/);
  assert.match(how[3], /batch norm, GELU, 64 filters of 3×3×64/);
  assert.match(await page.innerText("#answer-how"), /10 weighted sums of all 256/);
  for (const name of await page.locator(".chip:not(.quiet)").allTextContents()) {
    await page.click(`.chip >> text=/^${name}$/`);
    await page.waitForFunction((wanted) => document.querySelector("#opened-title").textContent.startsWith(wanted) && document.querySelector("#opened .legend .scale") && document.querySelector("#pixel-title")?.textContent.endsWith(wanted), name);
    const [sum, told] = await page.evaluate(() => [document.querySelector("#pixel .sum").dataset.sum, document.querySelector("#pixel .server").dataset.value].map(Number));
    assert.ok(Math.abs(sum - told) < 1e-4 * Math.max(1, Math.abs(told)), `${name}: ${sum} beside ${told}`);
  }
  const text = (await page.locator(".code code").allTextContents()).join("\n");
  const called = (kind, which = 0) => layers.filter((layer) => layer.kind === kind).at(which).name;
  const lines = [
    `self.${called("conv2d")} = nn.Conv2d(3, 24, kernel_size=2)`,
    `self.${called("conv2d", 1)} = nn.Conv2d(24, 64, kernel_size=3, padding=1, bias=False)`,
    `self.${called("batch_norm2d")} = nn.BatchNorm2d(64`,
    `self.${called("gelu")} = nn.GELU()`,
    `self.${called("linear", -1)} = nn.Linear(256, 10, bias=False)`,
  ];
  for (const line of lines) assert.ok(text.includes(line), `${line} is not in\n${text}`);
}

/** Chooses `model` on the page, and waits until its first stage is there. */
export async function choose(page, url, model) {
  await page.goto(`${url}#model=${model}&sample=frog`);
  await page.waitForFunction((name) => document.querySelector("#limits").textContent.startsWith(name), model);
  await page.waitForFunction(() => document.querySelector("#bars .best") && document.querySelector("#strip").getAttribute("aria-busy") === "false");
}

/** A grey network gets, and shows, a grey picture: of its own size, without a claim that it knows frogs. */
export async function grey(page) {
  const [width, height, coloured, painted] = await page.$eval("#seen", (node) => {
    const { data } = node.getContext("2d").getImageData(0, 0, node.width, node.height);
    const pixels = Array.from({ length: data.length / 4 }, (_, i) => data.slice(i * 4, i * 4 + 3));
    return [node.width, node.height, pixels.filter(([r, g, b]) => r !== g || g !== b).length, new Set(pixels.map(([r]) => r)).size];
  });
  assert.deepEqual([width, height, coloured], [28, 28, 0]);
  assert.ok(painted > 8, "nothing is painted");
  assert.match(await page.innerText("#seen-how"), /the middle, shrunk to 28 × 28 pixels, brightness only/);
  assert.match(await page.innerText("#given-note"), /a frog: none of the things this network knows/);
  assert.match(await page.innerText("#pixel .work"), /brightness/);
  assert.equal(await page.locator("#opened .filter .cell").count(), 9);
  assert.equal(await page.locator("#opened .filter canvas.swatch").count(), 0, "a grey filter is shown as colours");
}

/** Of thirty stages the opened one is in sight, and what its number depends on is said in a line. */
export async function deep(page, url, model) {
  await page.goto(`${url}#model=${model}&sample=frog&layer=mean`);
  await page.waitForFunction(() => document.querySelector("#pixel-title")?.textContent.endsWith("mean"));
  await page.waitForFunction(() => {
    const [all, own] = ["#stages", '.stage:has(.open[aria-pressed="true"])'].map((selector) => document.querySelector(selector).getBoundingClientRect());
    return own.left >= all.left && own.right <= all.right;
  });
  // Where more stages are to be seen, those at the edge fade.
  assert.ok(await page.$eval("#stages", (node) => node.classList.contains("before")), "the stages on the left end at an edge");
  await page.$eval("#stages", (node) => (node.scrollLeft = 0));
  await page.waitForFunction(() => document.querySelector("#stages").className === "stages after");
  assert.match(await page.innerText("#pixel .depends"), /It depends on all of \d+ layers, all of the picture\./);
  assert.match(await page.innerText("#answer-how"), /of all 64, made/);
  const rows = await page.locator("#pixel .cells .cell").evaluateAll((all) => new Set(all.map((node) => node.offsetTop)).size);
  assert.equal(rows, 8, "a window of 8 × 8 is not laid out as one");
}

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
  await choose(page, url, model);
  const names = await page.locator("#bars .name").allTextContents();
  const { models } = await (await fetch(`${url}models`)).json();
  assert.deepEqual(names, models.find(({ name }) => name === model).classes);
  assert.notDeepEqual(names, [...names].sort((a, b) => a - b), "these classes would be in order anyhow");
  assert.equal(await page.innerText("#bars .best .name"), await page.innerText("#label b"));
}
