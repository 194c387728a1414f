// Drives the page in Chromium against the real server, at a desk's and at a phone's width.
//
//   node tests/browser/check.mjs target/release/convscope [--pictures FOLDER]
//
// Wants /usr/bin/chromium (or CHROMIUM=path) and `npm install` in this folder. With --pictures it leaves screenshots:
// `--pictures docs` makes the README's.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { chromium } from "playwright-core";
import { start, TOKEN } from "./server.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const DATA = resolve(HERE, "../data");
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const WIDTHS = [1280, 390];
const PAGE_LIMIT = 100 * 1024;
const CLASSES = 10;
const GIVEN_UP = "net::ERR_ABORTED"; // by the page itself, in favour of a newer picture
const PICTURE_HEIGHT = 880;

const [program, option, pictures] = process.argv.slice(2);
const server = await start(program);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
try {
  const layers = await (await fetch(`${server.url}layers`)).json();
  await sameNumbersEitherWay(server.url);
  for (const width of WIDTHS) await visit(width, layers.layers);
  console.log("browser: the page is right at", WIDTHS.join(" and "), "px");
} finally {
  await browser.close();
  await server.stop();
}

/** One visit at one width; anything the browser complains of fails it. */
async function visit(width, layers) {
  const phone = width < 600;
  const context = await browser.newContext({ viewport: { width, height: phone ? 844 : 900 }, isMobile: phone, hasTouch: phone, reducedMotion: "reduce" });
  const page = await context.newPage();
  const complaints = watch(page);
  await step(width, "opens on the tutorial model, under a strict policy", () => opens(page));
  await step(width, "classifies the horse", () => horse(page));
  await step(width, "shows every layer", () => everyLayer(page, layers));
  await step(width, "enlarges a channel by keyboard", () => enlarges(page));
  await step(width, "picks a sample by keyboard", () => byKeyboard(page));
  if (option === "--pictures") await photograph(page, width);
  await step(width, "takes a file, and says why another cannot be read", () => files(page));
  assert.deepEqual(complaints.splice(0).filter((text) => !/status of 415/.test(text)), [], "the browser complained");
  await step(width, "trains, and draws the curve", () => trains(page));
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, "the page is wider than the window");
  assert.deepEqual(complaints, [], "the browser complained");
  await context.close();
}

async function step(width, what, work) {
  try {
    await work();
  } catch (error) {
    error.message = `at ${width} px: ${what}: ${error.message}`;
    throw error;
  }
  console.log(`browser ${width} px: ${what}`);
}

/** Collects what should never happen: console messages, exceptions, failed requests, other hosts. */
function watch(page) {
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("requestfailed", (request) => {
    const fault = request.failure().errorText;
    if (fault !== GIVEN_UP) complaints.push(`${request.url()}: ${fault}`);
  });
  page.on("request", (request) => {
    const local = request.url().startsWith(server.url) || request.url().startsWith("blob:");
    if (!local) complaints.push(`asked another host: ${request.url()}`);
  });
  return complaints;
}

async function opens(page) {
  const sizes = [];
  const count = async (response) => {
    if (/text|javascript|svg/.test(response.headers()["content-type"] ?? "")) sizes.push(gzipSync(await response.body()).length);
  };
  page.on("response", count);
  const response = await page.goto(`${server.url}#token=${TOKEN}`);
  const policy = response.headers()["content-security-policy"] ?? "";
  assert.match(policy, /default-src '(none|self)'/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  await page.waitForSelector("#bars li");
  page.off("response", count);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(sizes.length > 10 && total < PAGE_LIMIT, `${sizes.length} files, ${total} bytes compressed`);
  assert.equal(await page.inputValue("#model"), "tutorial");
  assert.equal(new URL(page.url()).hash, "", "the token stays in the address");
  assert.equal(await page.isVisible("#token-field"), false);
}

async function horse(page) {
  await page.click('.sample[aria-label="horse"]');
  await page.waitForFunction(() => document.querySelector("#label b")?.textContent === "horse");
  const values = await page.locator("#bars .value").allTextContents();
  assert.equal(values.length, CLASSES);
  assert.ok(values.every((text) => /^[<>]? ?\d+\.\d\s%$/.test(text)), values.join());
  const lengths = await page.locator("#bars .fill").evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width / bar.parentNode.clientWidth));
  assert.ok(Math.abs(lengths.reduce((sum, length) => sum + length, 0) - 1) < 0.01, "the bars do not add up to one");
  const seen = await page.$eval("#seen", (image) => [image.naturalWidth, image.naturalHeight]);
  assert.deepEqual(seen, [32, 32]);
}

async function everyLayer(page, layers) {
  for (const layer of layers) {
    const section = page.locator(`[id="layer-${layer.name}"]`);
    await section.scrollIntoViewIfNeeded();
    await section.locator(".legend .scale").waitFor();
    const drawn = await section.locator(".grid > img").evaluate((image) => image.complete && image.naturalWidth > 0 && !image.hidden);
    assert.ok(drawn, `${layer.name} has no picture`);
    if (layer.output.length === 3) assert.equal(await section.locator(".tile").count(), layer.output[0], layer.name);
    assert.match(await section.innerText(), new RegExp(layer.output[0].toLocaleString("en")), layer.name);
    assert.equal(await section.locator(".error:visible").count(), 0, layer.name);
  }
}

async function enlarges(page) {
  const tiles = page.locator('[id="layer-conv1"] .tile');
  await tiles.first().scrollIntoViewIfNeeded();
  await tiles.first().focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#inspect").open && document.querySelector("#inspect-image").naturalWidth === 32);
  assert.match(await page.innerText("#inspect-title"), /conv1, channel 1\b/);
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => /channel 2\b/.test(document.querySelector("#inspect-title").textContent));
  assert.match(await page.innerText("#inspect-facts"), /smallest.*largest.*mean.*zeros/s);
  await page.keyboard.press("Escape");
  assert.equal(await page.isVisible("#inspect"), false);
  assert.equal(await page.evaluate(() => document.activeElement.title), "Channel 1", "focus is not back on the tile");
}

/** From the top of the page by Tab alone, as without a mouse. */
async function byKeyboard(page) {
  await page.evaluate(() => (document.activeElement.blur(), scrollTo(0, 0)));
  await page.locator(".skip").focus();
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  for (let i = 0; i < 20 && (await focused()) !== "cat"; i++) await page.keyboard.press("Tab");
  assert.equal(await focused(), "cat", "Tab does not reach the samples");
  const before = await page.innerText("#timing");
  await page.keyboard.press("Enter");
  await page.waitForFunction((text) => document.querySelector("#timing").textContent !== text, before);
  assert.equal(await page.getAttribute('.sample[aria-label="cat"]', "aria-pressed"), "true");
}

async function files(page) {
  await page.setInputFiles("#file", join(DATA, "odd/cmyk.jpg"));
  await page.waitForFunction(() => document.querySelector("#given").alt === "cmyk.jpg" && !document.querySelector("#given").hidden);
  await page.setInputFiles("#file", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("not a picture") });
  await page.locator("#problem:visible").waitFor();
  assert.match(await page.innerText("#problem"), /\w+ \w+ \w+/, "no sentence");
  await page.click('.sample[aria-label="horse"]');
  await page.locator("#problem").waitFor({ state: "hidden" });
}

async function trains(page) {
  await page.fill("#data", join(DATA, "cifar-10-batches-bin"));
  await page.fill("#epochs", "2");
  await page.click("#train-form button[type=submit]");
  await page.waitForFunction(() => document.querySelectorAll(".dot.test").length === 2, null, { timeout: 120_000 });
  await page.waitForFunction(() => /^done:/.test(document.querySelector(".status").textContent));
  assert.match(await page.innerText(".status"), /\d+\.\d\s% of 200 test pictures right/);
  const bounds = await page.locator(".curve .dot.test").evaluateAll((dots) => dots.map((dot) => dot.getBoundingClientRect().left));
  assert.ok(bounds[0] < bounds[1], "the curve does not go to the right");
  await page.click("text=Look through this network");
  await page.waitForFunction(() => document.querySelector("#model").value.startsWith("run-") && document.querySelector("#timing").textContent.startsWith("run-"));
}

/** The page asks the layers about the network's own view of a photo; that must give what the photo itself gives. */
async function sameNumbersEitherWay(url) {
  const photo = await readFile(join(DATA, "odd/cmyk.jpg"));
  const ask = async (path, body) => Buffer.from(await (await fetch(url + path, { method: "POST", body })).arrayBuffer());
  const seen = await ask("featuremaps/input?format=png", photo);
  const [direct, again] = await Promise.all([photo, seen].map((body) => ask("featuremaps/conv1?format=f32", body)));
  assert.ok(direct.length > 0 && direct.equals(again), "the network's view, sent again, gives other numbers");
}

async function photograph(page, width) {
  await page.click('.sample[aria-label="horse"]');
  await page.waitForFunction(() => document.querySelector("#label b")?.textContent === "horse");
  await page.evaluate(() => (document.activeElement.blur(), scrollTo(0, 0)));
  await page.mouse.move(0, 0);
  await page.waitForTimeout(300); // the layers below the fold
  await page.screenshot({ path: join(pictures, `page-${width}.png`), fullPage: true, clip: { x: 0, y: 0, width, height: PICTURE_HEIGHT } });
}
