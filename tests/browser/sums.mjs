// What every number is made of: the page's own arithmetic against the server's values, over every layer and kind.

import assert from "node:assert/strict";
import { answered } from "./visit.mjs";

const CELLS = 100;

/** A hundred random numbers of every layer, added up again in the browser. */
export async function everyNumber(page, kinds) {
  const worst = await page.evaluate(async (count) => {
    const load = (name) => import(new URL(name, document.baseURI));
    const [{ explain, at }, { Look }, { parameters }, { query, which }] = await Promise.all(["sums.js", "look.js", "weights.js", "view.js"].map(load));
    const network = await (await fetch(`layers?${new URLSearchParams(Object.entries(which()).filter(([, value]) => value != null))}`)).json();
    const picture = await (await fetch("samples/horse")).blob();
    const look = new Look(picture, query());
    const found = [];
    for (const layer of network.layers) {
      const [own, ...inputs] = await Promise.all([layer.name, ...layer.inputs].map((name) => look.layer(name)));
      const [channels, height = 1, width = 1] = layer.output;
      const size = 1 + own.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      for (let i = 0; i < count; i++) {
        const pick = (n) => Math.floor(Math.random() * n);
        const place = { layer, channel: pick(channels), cell: [pick(height), pick(width)] };
        const made = explain({ ...place, inputs, learned: await parameters(layer, place.channel) });
        const value = at({ from: own, ...place });
        found.push({ layer: layer.name, kind: layer.kind, ...place, error: Math.abs(made.value - value) / size, value, sum: made.value });
      }
    }
    const kinds = [...new Set(found.map(({ kind }) => kind))];
    return { kinds, count: found.length, layers: network.layers.length, worst: found.sort((a, b) => b.error - a.error)[0] };
  }, CELLS);
  assert.equal(worst.count, worst.layers * CELLS);
  assert.ok(worst.worst.error < 1e-5, `does not add up: ${JSON.stringify(worst.worst)}`);
  for (const kind of kinds) assert.ok(worst.kinds.includes(kind), `no ${kind} was added up`);
}

/** What is written on the page adds up too: the sum beside the server's value, and what the number depends on. */
export async function written(page) {
  await answered(page, "horse");
  const open = async (layer) => {
    await page.click(`.chip >> text=/^${layer}$/`);
    await page.waitForFunction((name) => document.querySelector("#pixel-title")?.textContent.includes(name), layer);
  };
  for (const layer of ["conv1", "act1", "conv2", "pool2", "fc3", "fc4"]) {
    await open(layer);
    const [sum, told] = await page.evaluate(() => [Number(document.querySelector("#pixel .sum").dataset.sum), Number(document.querySelector("#pixel .server").dataset.value)]);
    assert.ok(Math.abs(sum - told) < 1e-4, `${layer}: ${sum} beside ${told}`);
  }
  await open("conv2");
  const [kept, there] = await page.evaluate(async () => {
    const ask = async (layer) => new Float32Array(await (await fetch(`featuremaps/${layer}?model=tutorial&sample=horse&format=f32`)).arrayBuffer());
    const [bent, pool] = [await ask("act2"), await ask("pool2")];
    const [channel, row, column] = [...document.querySelectorAll("#pixel input")].map((node) => Number(node.value));
    const largest = pool[(channel * 16 + (row >> 1)) * 16 + (column >> 1)];
    return [bent[(channel * 32 + row) * 32 + column] === largest, largest];
  });
  const pooled = await page.locator("#pixel .then").last().innerText();
  const [, value] = /the largest of each 2×2: ([\d.e−+]+)/.exec(pooled);
  assert.ok(Math.abs(Number(value.replace("−", "-")) - there) <= there * 0.006, `${pooled} where the pool has ${there}`);
  assert.equal(pooled.endsWith("this one"), kept && there !== 0);
  assert.match(await page.locator("#pixel .window-name").first().innerText(), /^act1, map \d+ × filter$/);
  await open("pool2");
  for (const step of ["row", "column"]) {
    await page.fill(`#pixel [data-step="${step}"]`, "7");
    await page.keyboard.press("Enter");
  }
  await page.waitForFunction(() => /6 × 6/.test(document.querySelector("#pixel .depends").textContent));
  assert.match(await page.innerText("#pixel .depends"), /2 × 2 of conv2, 4 × 4 of conv1, 6 × 6 of the picture/);
  await open("fc3");
  assert.match(await page.innerText("#pixel"), /the other 8,184 together/);
  assert.equal(await page.locator("#opened .filter canvas.sheet").count(), 1, "a row of weights is not drawn");
  await open("conv2");
  assert.match(await page.innerText("#pixel .work"), /the other 29 maps together/);
  await page.click("#pixel .work button");
  await page.waitForFunction(() => document.querySelectorAll("#pixel .window").length === 32);
  await page.click("#pixel .work button");
  await open("conv1");
  assert.equal(await page.locator("#opened .filter .cell").count(), 27);
  assert.equal(await page.locator("#opened .filter canvas.swatch").count(), 1, "the filter is not shown as colours");
  await page.locator("#opened .large").focus();
  const before = await page.inputValue('#pixel [data-step="column"]');
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction((column) => document.querySelector('#pixel [data-step="column"]').value === column, String(Number(before) + 1));
}

/** Scores, powers and shares of the last layer are the answer. */
export async function softmax(page) {
  await page.click(".chip >> text=/^fc4$/");
  await page.locator(".softmax tbody tr").nth(10).waitFor();
  const rows = await page.locator(".softmax tr[data-share]").evaluateAll((all) => all.map(({ dataset }) => [Number(dataset.share), Number(dataset.told)]));
  assert.equal(rows.length, 10);
  for (const [own, told] of rows) assert.ok(Math.abs(own - told) < 1e-6, `${own} beside ${told}`);
  assert.ok(Math.abs(rows.reduce((sum, [own]) => sum + own, 0) - 1) < 1e-12);
}
