// Training from the page: a real run of the tutorial network on a few hundred pictures.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const LONG = { timeout: 180_000 };

/** Fills in the form and starts a run. */
export async function start(page, { data, epochs }) {
  await page.fill("#data", data);
  await page.fill("#epochs", String(epochs));
  await page.click("#train-form button[type=submit]");
}

const dots = (page, n) => page.waitForFunction((wanted) => document.querySelectorAll(".dot.test").length >= wanted, n, LONG);
const status = (page, word) => page.waitForFunction((start) => document.querySelector(".run .status")?.textContent.startsWith(start), word, LONG);

/** A run to its end: the curve grows, and its network can be looked through. */
export async function trains(page, data, token) {
  await start(page, { data, epochs: 2 });
  await dots(page, 2);
  await status(page, "done:");
  assert.equal(await page.getAttribute(".run .status", "aria-live"), "polite", "results are not read out");
  assert.match(await page.innerText(".status"), /\d+\.\d\s% of 200 test pictures right/);
  const bounds = await page.evaluate(() => [...document.querySelectorAll(".curve .dot.test")].map((dot) => dot.getBoundingClientRect().left)); // at once: the curve is drawn anew
  assert.ok(bounds[0] < bounds[1], `the curve does not go to the right: ${bounds.join()}`);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.click('[aria-label="copy as curl: the run’s results"]');
  const command = await page.evaluate(() => navigator.clipboard.readText());
  const { stdout } = await promisify(execFile)("bash", ["-c", `${command} -s`], { env: { ...process.env, TOKEN: token } });
  assert.equal(stdout.trim().split("\n").length, 3, stdout);
  await page.click("text=Look through this network");
  await page.waitForFunction(() => document.querySelector("#model").value.startsWith("run-") && document.querySelector("#limits").textContent.startsWith("run-"));
  await page.waitForFunction(() => document.querySelector("#label b") && document.querySelector("#strip").getAttribute("aria-busy") === "false");
}

/** A run is called off. */
export async function cancels(page, data) {
  await start(page, { data, epochs: 500 });
  await dots(page, 1);
  await page.click("text=Cancel");
  await status(page, "cancelled");
  assert.equal(await page.isVisible("text=Cancel"), false);
  assert.ok((await page.locator(".dot.test").count()) < 500);
}

/** The line breaks in the middle; it is made again, and every epoch is there once. */
export async function reconnects(page, data, cut) {
  await start(page, { data, epochs: 6 });
  await dots(page, 1);
  const before = await page.locator(".dot.test").count();
  assert.ok(before < 6, "the run was over before the line could break");
  cut();
  await status(page, "done:");
  const epochs = await page.locator(".run tbody tr td:first-child").allTextContents();
  assert.deepEqual(epochs, ["1", "2", "3", "4", "5", "6"]);
}

/** A path that this server does not allow is no reason to forget a right token; a wrong token is. */
export async function refusals(page, data, token) {
  const where = await page.innerText("#token-where");
  assert.match(where, /admin-token/);
  await page.fill("#token", "wrong-token-of-enough-letters");
  await start(page, { data, epochs: 1 });
  await page.locator("#train-problem:visible").waitFor();
  assert.match(await page.innerText("#train-problem"), /not the server’s admin token/);
  assert.equal(await page.isVisible("#token-field"), true, "a wrong token is kept");
  await page.fill("#token", token);
  await page.click("#train-form button[type=submit]");
  await page.waitForFunction(() => /not a path/.test(document.querySelector("#train-problem").textContent));
  assert.equal(await page.isVisible("#token-field"), false, "a right token is forgotten");
  await page.fill("#data", "no-such-data");
  await page.click("#train-form button[type=submit]");
  await page.waitForFunction(() => /no-such-data/.test(document.querySelector("#train-problem").textContent));
  assert.equal(await page.isVisible("#token-field"), false, "a right token is forgotten");
}
