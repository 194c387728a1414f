// English and Chinese: neither lacks a word, and the page speaks what its reader reads.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { answered } from "./visit.mjs";

const CHINESE = /[\u4e00-\u9fff]/;

/** Every key is in both files with the same kind of words, and every key that the page uses is there. */
export async function complete(folder) {
  // As a URL of data: older Nodes take a plain .js for another kind of module.
  const load = async (name) => (await import(`data:text/javascript,${encodeURIComponent(await readFile(`${folder}/${name}.js`, "utf8"))}`)).default;
  const [english, chinese] = await Promise.all(["english", "chinese"].map(load));
  assert.deepEqual(Object.keys(chinese).sort(), Object.keys(english).sort());
  for (const [key, words] of Object.entries(english)) {
    assert.equal(typeof chinese[key], typeof words, key);
    if (typeof words === "function") assert.equal(chinese[key].length, words.length, key);
    if (typeof words === "string") assert.ok(words.trim() && chinese[key].trim(), key);
  }
  const used = new Set();
  for (const name of await readdir(folder)) {
    if (/^(english|chinese)\.js$/.test(name)) continue;
    const text = await readFile(`${folder}/${name}`, "utf8");
    for (const [, key] of text.matchAll(/\bt\("([^"`$]+)"/g)) used.add(key);
    for (const [, key] of text.matchAll(/data-t(?:-[a-z-]+)?="([^"]+)"/g)) used.add(key);
  }
  for (const stage of await stages(folder)) used.add(`run.stage.${stage}`);
  for (const key of used) assert.ok(key in english, `the page says \`${key}\`, which no language has`);
}

/** The stages of a run's data, as the server's source has them. */
async function stages(folder) {
  const source = await readFile(`${folder}/../src/training/event.rs`, "utf8");
  const [, body] = /pub enum DataStage \{\n(.*?)\n\}/s.exec(source);
  const names = [...body.matchAll(/^ {4}([A-Z]\w*)/gm)].map(([, name]) => name.replace(/(?<!^)[A-Z]/g, "_$&").toLowerCase());
  assert.ok(names.includes("reading") && names.includes("ready"), names.join());
  return names;
}

/** What a run says of its data, stage by stage, in words; one that nobody knows by its name. */
export async function dataStages(page) {
  const told = await page.evaluate(async () => {
    const load = (module) => import(new URL(module, document.baseURI));
    const [{ Run }, texts] = await Promise.all([load("run.js"), load("texts.js")]);
    const run = new Run({ id: "x", arch: "a", data: "d", state: "running" }, { onModel: null, cancel: null });
    const stages = [
      { stage: "downloading", bytes: 5e6, total_bytes: 170e6 },
      { stage: "downloading", bytes: 5e6, total_bytes: null },
      { stage: "retrying", reason: "no route" },
      { stage: "unpacking" },
      { stage: "ready", train_images: 1, test_images: 2, classes: 2, notes: [] },
      { stage: "dreaming" },
    ];
    const said = () => stages.map((data) => (run.take("data", data), run.step.textContent));
    const english = said();
    texts.switchOver();
    const chinese = said();
    texts.switchOver();
    return { english, chinese };
  });
  const english = [/5\.0\sMB of 170\.0\sMB$/, /: 5\.0\sMB$/, /\(no route\) and is tried again/, /unpacking/, /1 picture to train on, 2 to measure/, /^dreaming$/];
  english.forEach((words, i) => assert.match(told.english[i], words));
  told.chinese.slice(0, -1).forEach((words) => assert.match(words, CHINESE));
}

/** Whoever reads Chinese is met in Chinese, may switch, and is remembered. */
export async function speaks(page, url) {
  await page.goto(url);
  await answered(page, "horse");
  assert.equal(await page.getAttribute("html", "lang"), "zh-Hans");
  assert.match(await page.innerText("#label"), /^horse（马）/);
  await page.click('.chip >> text="fc4"');
  await page.waitForFunction(() => document.querySelector(".softmax table"));
  const texts = await page.evaluate(() => [...document.querySelectorAll("h2, h4, button, label, p.how, p.what, p.lead, summary, figcaption b")].filter((node) => node.offsetParent && !node.classList.contains("line")).map((node) => node.innerText.trim()));
  const name = /^(English|[a-z]+\d*|PNG|NPY|JSON|←|→|)$/;
  const foreign = texts.filter((text) => !CHINESE.test(text) && !name.test(text));
  assert.deepEqual(foreign, [], "not in Chinese");
  await page.setInputFiles("#file", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("not a picture") });
  await page.locator("#problem:visible").waitFor();
  assert.match(await page.innerText("#problem"), /notes\.txt.*格式/);
  await page.click("#language");
  assert.match(await page.innerText("#problem"), /notes\.txt is in a format/);
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
  assert.match(await page.innerText("#pixel-title"), /^One number of fc4$/);
  await page.reload();
  await answered(page, "horse");
  assert.equal(await page.getAttribute("html", "lang"), "en", "the choice is forgotten");
  await page.click("#language");
  assert.match(await page.innerText("#pixel-title"), /fc4 的一个数/);
  await page.waitForFunction(() => /合计/.test(document.querySelector("#pixel").innerText));
}

/** The chosen map is a table, too. */
export async function twin(page) {
  await page.click('.chip >> text="pool2"');
  await page.waitForFunction(() => document.querySelector("#opened-title").textContent.startsWith("pool2") && document.querySelector(".value-here").textContent);
  await page.click(".channel summary");
  await page.waitForFunction(() => document.querySelectorAll(".twin tbody tr").length === 16);
  const [row, column, value] = await page.evaluate(() => [...[...document.querySelectorAll("#pixel input")].slice(1).map((node) => Number(node.value)), Number(document.querySelector(".value-here").dataset.value)]);
  const written = await page.locator(".twin tbody tr").nth(row).locator("td").nth(column).innerText();
  assert.ok(Math.abs(Number(written.replace("−", "-")) - value) <= Math.abs(value) * 0.01, `${written} beside ${value}`);
  await page.click(".channel summary");
}
