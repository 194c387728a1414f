// What if: maps ranked by what they are worth to this answer, and the picture shifted, turned and lightened.

import assert from "node:assert/strict";
import { answered, settled } from "./visit.mjs";

/** The ranking is what the server says of each map switched off by itself, asked for in one request. */
export async function ranks(page) {
  await page.click(".chip >> text=/^conv1$/");
  const asked = [];
  const note = (request) => asked.push(new URL(request.url()).pathname.replace(/.*\/(?=layers|classify)/, ""));
  page.on("request", note);
  await page.click(".ranking button");
  await page.waitForFunction(() => document.querySelectorAll(".ranks button").length === 32);
  page.off("request", note);
  assert.deepEqual(asked, ["layers/conv1/effects"], "more than one request ranks a layer");
  const effects = await page.locator(".ranks button").evaluateAll((all) => all.map(({ dataset }) => [Number(dataset.channel), Number(dataset.effect)]));
  assert.equal(new Set(effects.map(([channel]) => channel)).size, 32);
  effects.reduce((before, each) => (assert.ok(Math.abs(before[1]) >= Math.abs(each[1]), "not in order"), each));
  const told = await page.evaluate(async (channel) => {
    const picture = await (await fetch("samples/horse")).blob();
    const ask = async (query) => (await (await fetch(`classify?model=tutorial${query}`, { method: "POST", body: picture })).json()).probabilities.horse;
    return (await ask(`&mask=conv1:${channel}`)) - (await ask(""));
  }, effects[0][0]);
  assert.ok(Math.abs(told - effects[0][1]) < 1e-6, `${told} is written as ${effects[0][1]}`);
  await page.click(".chip >> text=/^fc3$/");
  await page.waitForFunction(() => document.querySelector("#opened-title").textContent.startsWith("fc3"));
  await page.click(".ranking button");
  await page.waitForFunction(() => document.querySelectorAll(".ranks button").length === 48);
  assert.match(await page.innerText(".ranking .fine"), /The other 464 change it by at most \d/);
  await page.click(".chip >> text=/^conv1$/");
  await page.click(".ranking button");
  await page.waitForFunction(() => document.querySelectorAll(".ranks button").length === 32);
  await page.click(".ranks li:first-child button");
  await page.waitForFunction((channel) => document.querySelector('#pixel [data-step="channel"]').value === channel, String(effects[0][0]));
}

/** The sliders alter what the network gets, cell by cell; the address keeps it; undo brings it back. */
export async function alters(page) {
  const pixel = (x, y) => page.$eval("#seen", (node, at) => [...node.getContext("2d").getImageData(...at, 1, 1).data], [x, y]);
  const slide = async (name, value) => {
    await page.locator(`[data-alter="${name}"]`).fill(String(value));
    await settled(page);
  };
  const before = [await pixel(6, 10), await page.locator("#bars .value").allTextContents()];
  await page.click("#invite-alter");
  await slide("right", 4);
  await page.waitForFunction(() => !document.querySelector("#changed").hidden && location.hash.includes("alter=4,0,0,0"));
  await settled(page);
  assert.deepEqual(await pixel(10, 10), before[0], "the picture is not shifted by four cells");
  assert.equal(await page.locator("#bars .was:visible").count(), 10, "how it was is not marked");
  await slide("light", 30);
  await page.waitForFunction(() => location.hash.includes("alter=4,0,0,30"));
  await settled(page);
  const light = await pixel(10, 10);
  assert.ok(light.slice(0, 3).every((value, i) => value === Math.min(255, before[0][i] + 77)), `${light} from ${before[0]}`);
  await slide("turn", 90);
  await page.waitForFunction(() => location.hash.includes("alter=4,0,90,30"));
  await settled(page);
  const there = await page.locator("#bars .value").allTextContents();
  await page.reload();
  await page.waitForFunction((text) => [...document.querySelectorAll("#bars .value")].map((node) => node.textContent).join() === text, there.join());
  assert.equal(await page.inputValue('[data-alter="turn"]'), "90");
  await page.click("#changed button");
  await answered(page, "horse");
  await page.waitForFunction(() => document.querySelector("#changed").hidden);
  assert.deepEqual([await pixel(6, 10), await page.locator("#bars .value").allTextContents()], before);
}

/** Two pictures side by side: each number the server's, on one scale, and their difference; two models that are unlike say so. */
export async function compares(page, model) {
  await page.click(".chip >> text=/^conv2$/");
  await page.click("#keep");
  await page.click('.sample[data-name="ship"]');
  await page.waitForFunction(() => document.querySelector("#given").alt === "ship");
  await settled(page);
  const values = async () => page.locator("#compare figure").evaluateAll((all) => all.map(({ dataset }) => Number(dataset.value)));
  await page.waitForFunction(() => document.querySelectorAll("#compare figure").length === 3 && /Kept: horse.*Now: ship/s.test(document.querySelector("#compare").innerText));
  const [then, now, difference] = await values();
  const told = await page.evaluate(async () => {
    const [channel, row, column] = [...document.querySelectorAll("#pixel input")].map((node) => Number(node.value));
    const ask = async (name) => new Float32Array(await (await fetch(`featuremaps/conv2?model=tutorial&sample=${name}&format=f32`)).arrayBuffer())[(channel * 32 + row) * 32 + column];
    return [await ask("horse"), await ask("ship")];
  });
  assert.deepEqual([then, now], told);
  assert.equal(difference, Math.fround(now - then));
  const scales = await page.locator("#compare figure .legend").allInnerTexts();
  assert.equal(scales[0], scales[1], "the scale is not locked");
  await page.selectOption("#model", model);
  await page.waitForFunction((name) => document.querySelector("#limits").textContent.startsWith(name), model);
  await page.waitForFunction(() => /no conv2 of the same shape/.test(document.querySelector("#compare").innerText));
  await page.click("#keep");
  assert.equal(await page.innerText("#compare"), "");
  await page.selectOption("#model", "tutorial");
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
}
