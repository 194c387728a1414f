// The address and the commands: what is looked at can be kept, sent, gone back to, and asked for without the page.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { answered, settled } from "./visit.mjs";

const shell = async (command) => (await promisify(execFile)("bash", ["-c", command], { encoding: "buffer", maxBuffer: 1 << 26 })).stdout;

/** What can be seen of the view. */
const looked = (page) =>
  page.evaluate(() => ({
    picture: document.querySelector("#given").alt,
    answer: [...document.querySelectorAll("#bars .value")].map((node) => node.textContent),
    layer: document.querySelector("#opened-title").firstChild.textContent,
    steps: [...document.querySelectorAll("#pixel input")].map((node) => node.value),
    sum: document.querySelector("#pixel .sum").textContent,
    changed: document.querySelector("#changed").textContent,
  }));

const written = (page, parts) => page.waitForFunction((all) => all.every((part) => decodeURIComponent(location.hash).includes(part)), parts);

/** A second window, opened on the address of the first, shows the same; so does a reload. */
export async function shared(page, browserPage) {
  await page.click('.sample[data-name="ship"]');
  await page.waitForFunction(() => document.querySelector("#given").alt === "ship");
  await settled(page);
  await page.click('.chip >> text="pool2"');
  await page.fill('#pixel [data-step="channel"]', "5");
  await page.keyboard.press("Enter");
  await page.fill('#pixel [data-step="row"]', "12");
  await page.keyboard.press("Enter");
  await page.click("#opened .channel button:has-text('Switch this off')");
  await page.waitForFunction(() => !document.querySelector("#changed").hidden);
  await settled(page);
  await written(page, ["model=tutorial", "sample=ship", "layer=pool2", "channel=5", "cell=12,", "mask=pool2:5"]);
  const before = await looked(page);
  assert.match(before.changed, /pool2:5/);
  const other = await browserPage();
  await other.goto(page.url());
  for (const [window, what] of [[other, "another window"], [page, "a reload"]]) {
    if (window === page) await page.reload();
    await window.waitForFunction((sum) => document.querySelector("#pixel .sum")?.textContent === sum, before.sum);
    await settled(window);
    assert.deepEqual(await looked(window), before, `${what} shows something else`);
  }
  await other.close();
  await page.click("#changed button");
  await page.waitForFunction(() => document.querySelector("#changed").hidden);
}

/** Back and forth again, layer by layer and picture by picture. */
export async function back(page) {
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
  await written(page, ["sample=horse"]);
  await page.click('.chip >> text="conv2"');
  await written(page, ["layer=conv2"]);
  await page.click('.chip >> text="fc4"');
  await written(page, ["layer=fc4"]);
  const layer = (name) => page.waitForFunction((wanted) => document.querySelector("#opened-title")?.textContent.startsWith(wanted), name);
  await page.goBack();
  await layer("conv2");
  await settled(page);
  await page.goBack();
  await layer("pool2");
  await page.goForward();
  await layer("conv2");
  await answered(page, "horse");
}

/** A picture of one's own is not in the address, and who opens it is told so. */
export async function own(page, file, browserPage) {
  await page.setInputFiles("#file", file);
  await page.waitForFunction(() => document.querySelector("#given").alt === "cmyk.jpg");
  await settled(page);
  await written(page, ["own=1"]);
  assert.doesNotMatch(page.url(), /sample=/);
  const other = await browserPage();
  await other.goto(page.url());
  await answered(other, "horse");
  assert.match(await other.innerText("#given-note"), /one’s own/);
  await other.close();
  await page.goBack();
  await answered(page, "horse");
  await page.goForward();
  await page.waitForFunction(() => document.querySelector("#given").alt === "cmyk.jpg");
  await settled(page);
  await page.goBack();
  await answered(page, "horse");
}

/** An address that names what is gone says so in a sentence, and shows what is here; the next choice takes the sentence away. */
export async function gone(page, url) {
  const rows = [
    ["model=nobody&sample=horse", /model nobody, which is not on this server\. This is tutorial/, "conv1"],
    ["model=tutorial&version=7&sample=horse&layer=conv2", /version 7 of tutorial, which is not on this server/, "conv2"],
    ["model=tutorial&sample=horse&layer=conv9&channel=3", /layer conv9, which tutorial does not have\. This is conv1/, "conv1"],
    ["model=tutorial&sample=unicorn&layer=pool2&channel=999&cell=99,99", /picture unicorn, which is not among the samples\. This is horse/, "pool2"],
  ];
  for (const [hash, said, layer] of rows) {
    await page.goto(`${url}#${hash}`);
    await page.reload();
    await answered(page, "horse");
    assert.match(await page.innerText("#notice"), said);
    assert.ok((await page.innerText("#opened-title")).startsWith(layer), hash);
    assert.equal(await page.isVisible("#problem"), false);
    await page.click("#language");
    assert.match(await page.innerText("#notice"), /^链接要的/);
    await page.click("#language");
    await written(page, ["model=tutorial", "sample=horse", `layer=${layer}`]);
    // What the address still names is corrected a moment after what it names was shown.
    await page.waitForFunction(() => !/nobody|version=7|conv9|unicorn|999/.test(location.hash));
  }
  await page.click('.sample[data-name="ship"]');
  await page.locator("#notice").waitFor({ state: "hidden" });
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
}

/** What “copy as curl” copies gives what the page shows, under the prefix of a proxy too. */
export async function commands(page) {
  const copied = async (label) => {
    await page.click(`[aria-label="copy as curl: ${label}"]`);
    return page.evaluate(() => navigator.clipboard.readText());
  };
  const told = JSON.parse(await shell(await copied("the answer")));
  assert.equal(told.label, await page.innerText("#label b"));
  await page.click('.chip >> text="conv1"');
  await page.waitForFunction(() => document.querySelector("#opened-title").textContent.startsWith("conv1") && document.querySelector("#pixel-title")?.textContent.includes("conv1"));
  const channel = Number(await page.inputValue('#pixel [data-step="channel"]'));
  const picture = await shell(await copied("conv1"));
  assert.equal(picture.subarray(1, 4).toString(), "PNG");
  const weights = JSON.parse(await shell(await copied(`conv1-${channel}-weights`)));
  assert.equal(weights.parameters[0].values.length, 27);
  const effects = JSON.parse(await shell(await copied("effects of conv1")));
  assert.equal(effects.channels.length, 32);
  await page.click("#keep");
  await page.click('.sample[data-name="ship"]');
  await page.waitForFunction(() => /Now: ship/.test(document.querySelector("#compare").innerText));
  await settled(page);
  const sides = await page.locator("#compare figure").evaluateAll((all) => all.map(({ dataset }) => Number(dataset.value)));
  const cell = (await page.inputValue('#pixel [data-step="row"]')) * 32 + Number(await page.inputValue('#pixel [data-step="column"]'));
  for (const [side, value] of [["kept", sides[0]], ["now", sides[1]]]) {
    const map = await shell(await copied(`conv1-${channel}-${side}`));
    assert.equal(map.readFloatLE(map.length - 4 * 32 * 32 + 4 * cell), value, `the command for what is ${side} asks for something else`);
  }
  await page.click("#keep");
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
  await page.click('.chip >> text="fc4"');
  await page.locator(".softmax tbody tr").nth(10).waitFor();
  const shares = JSON.parse(await shell(await copied("the shares"))).probabilities;
  for (const row of await page.locator(".softmax tr[data-told]").all()) {
    assert.equal(Number(await row.getAttribute("data-told")), shares[await row.locator("th").innerText()]);
  }
  const folder = await mkdtemp(join(tmpdir(), "convscope-curl-"));
  const model = await copied("the model file");
  await shell(`cd ${folder} && ${model}`);
  assert.ok((await readFile(join(folder, "tutorial.safetensors"))).length > 1e6, "the command saves no model");
  await rm(folder, { recursive: true });
  const input = await shell(await copied("input"));
  assert.equal(input.subarray(1, 4).toString(), "PNG");
}

/** PNG, NPY and JSON of a layer. */
export async function files(page) {
  await page.click('.chip >> text="conv1"');
  await page.waitForFunction(() => document.querySelector("#opened-title").textContent.startsWith("conv1"));
  for (const [format, begins] of [["PNG", "\x89PNG"], ["NPY", "\x93NUMPY"], ["JSON", "{"]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(`[aria-label="Save conv1 as ${format}"]`)]);
    assert.equal(download.suggestedFilename(), `conv1.${format.toLowerCase()}`);
    assert.equal((await readFile(await download.path())).subarray(0, begins.length).toString("latin1"), begins);
  }
}
