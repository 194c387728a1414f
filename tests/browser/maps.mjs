// Honest maps: what is painted is what the server says, one scale unless asked otherwise, whole cells, nothing smoothed.

import assert from "node:assert/strict";
import { answered } from "./visit.mjs";

const open = async (page, layer) => {
  await page.click(`.chip >> text=/^${layer}$/`);
  await page.waitForFunction((name) => document.querySelector("#opened-title").textContent.startsWith(name) && document.querySelector("#opened .legend .scale") && document.querySelector(".value-here").textContent, layer);
};

/** Colours are the server's own, cell by cell, for signed and for positive maps. */
export async function colours(page) {
  for (const layer of ["conv1", "act1"]) {
    await open(page, layer);
    const far = await page.evaluate(async (name) => {
      const bitmap = await createImageBitmap(await (await fetch(`featuremaps/${name}?model=tutorial&sample=horse&channel=3&zoom=1`)).blob());
      const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
      const pixels = (source) => source.getContext("2d").getImageData(0, 0, 32, 32).data;
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      const [theirs, ours] = [pixels(canvas), pixels(document.querySelectorAll("#opened .tile canvas")[3])];
      return theirs.reduce((most, value, i) => Math.max(most, Math.abs(value - ours[i])), 0);
    }, layer);
    assert.ok(far <= 4, `${layer} is painted ${far} of 255 from the server's colours`);
  }
}

/** A cell is a whole number of pixels wide, at least eight when opened, and never smoothed. */
export async function wholeCells(page) {
  for (const layer of ["conv1", "pool2", "fc3"]) {
    await open(page, layer);
    const cells = await page.locator(".stage canvas:first-child, #opened .tile canvas, #opened .large canvas").evaluateAll((all) =>
      all.map((node) => ({ cell: node.getBoundingClientRect().width / node.width, large: Boolean(node.closest(".large")), how: getComputedStyle(node).imageRendering })),
    );
    for (const { cell, large, how } of cells) {
      assert.ok(Math.abs(cell - Math.round(cell)) < 0.01 && cell >= (large ? 8 : 1), `${layer}: a cell is ${cell} pixels`);
      assert.equal(how, "pixelated");
    }
  }
  assert.equal(await page.locator(".stage .legend .scale").count(), 4, "a stage has no legend");
}

/** The number under the pointer is the server's, to the last bit. */
export async function exactValue(page) {
  await open(page, "conv2");
  const plate = page.locator("#opened .large canvas");
  await plate.scrollIntoViewIfNeeded();
  const box = await plate.boundingBox();
  await page.mouse.move(box.x + (box.width * 20.5) / 32, box.y + (box.height * 9.5) / 32);
  await page.waitForFunction(() => /\b9\b.*\b20\b/.test(document.querySelector(".value-here").textContent));
  const channel = Number(await page.inputValue('#pixel [data-step="channel"]'));
  const [shown, told, written] = await page.evaluate(async (at) => {
    const values = new Float32Array(await (await fetch("featuremaps/conv2?model=tutorial&sample=horse&format=f32")).arrayBuffer());
    const node = document.querySelector(".value-here");
    return [Number(node.dataset.value), values[(at * 32 + 9) * 32 + 20], Number(node.textContent.match(/[−\d.e-]+$/)[0].replaceAll("−", "-"))];
  }, channel);
  assert.equal(shown, told);
  assert.equal(Math.fround(written), told, "what is written is not all of the number");
}

/** As in the tutorial, each map by its own scale; and how many that blows up. */
export async function asInTheTutorial(page) {
  await open(page, "conv2");
  const before = await pixels(page);
  await page.click("input[value=tutorial]");
  await page.waitForFunction(() => /tenfold/.test(document.querySelector(".honest").textContent));
  const expected = await page.evaluate(async () => {
    const { range, channels } = await (await fetch("featuremaps/conv2?model=tutorial&sample=horse&format=json")).json();
    return channels.filter(({ min, max }) => max > min && (range[1] - range[0]) / (max - min) > 10).length;
  });
  assert.match(await page.innerText(".honest"), new RegExp(`of 32 maps, ${expected} (is|are) blown up`));
  assert.notDeepEqual(await pixels(page), before, "nothing is painted otherwise");
  const yellow = await page.locator("#opened .tile canvas").evaluateAll((all) => all.every((node) => node.getContext("2d").getImageData(0, 0, node.width, node.height).data.some((value, i, data) => i % 4 === 0 && value === 253 && data[i + 1] === 231)));
  assert.ok(yellow, "a map does not reach its own largest value");
  await page.waitForFunction(() => location.hash.includes("scale=tutorial"));
  await page.click("input[value=layer]");
  await page.waitForFunction(() => !document.querySelector(".honest").textContent.includes("tenfold"));
  assert.deepEqual(await pixels(page), before);
}

const pixels = (page) => page.$eval("#opened .tile canvas", (node) => [...node.getContext("2d").getImageData(0, 0, 8, 8).data]);

/** Maps that are the same everywhere say so; short vectors are numbers with names. */
export async function silentAndShort(page) {
  await open(page, "act1");
  const flat = await page.locator("#opened .tile.flat").count();
  await page.click("#opened .tile:not(.flat)");
  await page.click("#opened .channel p button");
  await page.waitForFunction((was) => document.querySelectorAll("#opened .tile.flat").length === was + 1, flat);
  assert.match(await page.locator("#opened .tile.flat").first().getAttribute("aria-label"), /0 everywhere/);
  await page.click("#changed button");
  await answered(page, "horse");
  await open(page, "fc4");
  const values = await page.locator(".values li").allInnerTexts();
  assert.equal(values.length, 10);
  const [, score] = /^horse\s+(\d+\.\d+)$/.exec(values[7]);
  const there = await page.evaluate(async () => (await (await fetch("featuremaps/fc4?model=tutorial&sample=horse&format=json")).json()).channels[7].max);
  assert.ok(Math.abs(Number(score) - there) < 0.01, `${score} where the server has ${there}`);
}
