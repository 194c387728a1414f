// What a model says of itself: how it fits a photo into its input, and how familiar a picture is to it.

import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { settled } from "./visit.mjs";
import { png } from "./ways.mjs";

const WIDE = png(96, 32, (x) => (x < 32 || x >= 64 ? [90, 90, 90] : [x * 3, 255 - x * 2, 40]));

/** The model of the file `weights`, with another `fit`, put into the server's folder; gives its name. */
export async function refitted({ url, folder }, token, { weights, fit }) {
  const file = await readFile(weights);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, start).toString());
  const told = JSON.parse(header.__metadata__.convscope);
  Object.assign(told, { name: fit, preprocessing: { ...told.preprocessing, fit } });
  header.__metadata__.convscope = JSON.stringify(told);
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, " ")]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  await mkdir(join(folder, "models"), { recursive: true });
  await writeFile(join(folder, "models", `${fit}.safetensors`), Buffer.concat([length, padded, file.subarray(start)]));
  const asked = await fetch(`${url}admin/models/refresh`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
  assert.ok(asked.ok, await asked.text());
  return fit;
}

/** Only a model that crops frames a part of the photo; what any other does is said, and can be seen. */
export async function fits(page, model, how) {
  await page.selectOption("#model", model);
  await page.waitForFunction((name) => document.querySelector("#limits").textContent.startsWith(name), model);
  await page.setInputFiles("#file", { name: "wide.png", mimeType: "image/png", buffer: WIDE });
  await page.waitForFunction(() => document.querySelector("#given").alt === "wide.png");
  await settled(page);
  assert.equal(await page.isVisible("#frame"), model === "tutorial", `${model} frames a part`);
  assert.match(await page.innerText("#seen-how"), how);
  const pixel = (x, y) => page.$eval("#seen", (node, at) => [...node.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3), [x, y]);
  const corner = { tutorial: [96, 191, 40], stretch: [90, 90, 90], pad: [255, 255, 255] };
  assert.deepEqual(await pixel(0, 0), corner[model]);
}

/** Where the answer carries a familiarity it is written beneath; the answer's own one is put in its place on the way to the page. */
export async function familiar(page) {
  const rows = [
    [0.42, /^An ordinary sight .*: 42\.0\s% of the pictures it was tested on looked stranger\.$/],
    [0.03, /^An unusual sight .*: only 3\.0\s% .* Take care\.$/],
    [0.004, /^Like nothing it was trained on: do not trust/],
    [null, /^$/],
  ];
  for (const [familiarity, said] of rows) {
    await page.route(/\/classify/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), familiarity } });
    });
    await page.click('.sample[data-name="deer"]');
    await page.waitForFunction(() => document.querySelector("#given").alt === "deer");
    await settled(page);
    const bottom = await page.$eval(".invitations", (node) => node.getBoundingClientRect().bottom + scrollY);
    assert.ok(bottom <= 900, `with a familiarity of ${familiarity} the first screen ends at ${bottom}`);
    assert.match(familiarity === null ? ((await page.isVisible("#familiarity")) ? "there" : "") : await page.innerText("#familiarity"), said);
    await page.unroute(/\/classify/);
    await page.click('.sample[data-name="horse"]');
    await page.waitForFunction(() => document.querySelector("#given").alt === "horse");
    await settled(page);
  }
}

/** What the server itself says: a number is shown with its sentence, and where there is none nothing is. */
export async function asItIs(page, url) {
  const picture = await (await fetch(`${url}samples/horse`)).arrayBuffer();
  const { familiarity } = await (await fetch(`${url}classify?model=tutorial`, { method: "POST", body: picture })).json();
  const said = (await page.isVisible("#familiarity")) ? await page.innerText("#familiarity") : "";
  if (typeof familiarity !== "number") assert.equal(said, "", "a familiarity is shown that the server does not tell");
  else assert.match(said, familiarity < 0.01 ? /^Like nothing/ : new RegExp(`${(familiarity * 100).toFixed(1)}\\s%`));
}

/** The page opens on the tutorial's network, whichever is the server's default. */
export async function opensOnTutorial(page, url, other) {
  await page.route(/\/models$/, async (route) => {
    const response = await route.fetch();
    const told = await response.json();
    const models = told.models.map((model) => ({ ...model, default: model.name === other })).sort((a, b) => Number(b.default) - Number(a.default));
    await route.fulfill({ response, json: { ...told, default: other, models } });
  });
  await page.goto(`${url}#`);
  await page.reload();
  await page.waitForFunction(() => document.querySelector("#limits").textContent.startsWith("tutorial"));
  await settled(page);
  assert.equal(await page.inputValue("#model"), "tutorial");
  assert.equal(await page.isVisible("#notice"), false);
  await page.unroute(/\/models$/);
}

/** The model's file, by a link and by a command's address: the bytes that are served. */
export async function file(page, weights) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#model-file")]);
  assert.equal(download.suggestedFilename(), "tutorial.safetensors");
  assert.ok((await readFile(await download.path())).equals(await readFile(weights)), "the file is not the model's");
}

/** A model that the list does not have yet is found by its name; one that is gone leaves the default in its place. */
export async function justMade(page, url, model) {
  await page.route(
    /\/models$/,
    async (route) => {
      const response = await route.fetch();
      const told = await response.json();
      await route.fulfill({ response, json: { ...told, models: told.models.filter(({ name }) => name !== model) } });
    },
    { times: 1 },
  );
  for (const [wanted, given] of [[model, model], ["nobody", "tutorial"]]) {
    await page.goto(`${url}#model=${wanted}&sample=horse`);
    await page.waitForFunction((name) => document.querySelector("#limits").textContent.startsWith(name), given);
    await settled(page);
    assert.equal(await page.inputValue("#model"), given);
  }
}
