// The ways a picture comes in, and what is said when one cannot be read.

import assert from "node:assert/strict";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { answered, settled } from "./visit.mjs";

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40"><rect width="60" height="40" fill="teal"/><circle cx="30" cy="20" r="12" fill="gold"/></svg>`;

/** A photo that is not square shows what is cut out of it. */
export async function file(page, data) {
  await page.setInputFiles("#file", join(data, "odd/cmyk.jpg"));
  await page.waitForFunction(() => document.querySelector("#given").alt === "cmyk.jpg" && !document.querySelector("#given").hidden);
  await settled(page);
  assert.equal(await page.locator('.sample[aria-pressed="true"]').count(), 0);
}

/** A grey bar beside a colourful square: only the square is framed. */
export async function framed(page) {
  const picture = png(96, 32, (x) => (x < 32 || x >= 64 ? [90, 90, 90] : [x * 3, 255 - x * 2, 40]));
  await page.setInputFiles("#file", { name: "wide.png", mimeType: "image/png", buffer: picture });
  await page.waitForFunction(() => document.querySelector("#given").alt === "wide.png");
  await settled(page);
  const frame = await page.$eval("#frame", (node) => [node.hidden, Math.round(parseFloat(node.style.left)), Math.round(parseFloat(node.style.width))]);
  assert.deepEqual(frame, [false, 33, 33]);
}

/** What the server refuses and the browser can draw is drawn again: another format, too many pixels, too many bytes. */
export async function redrawn(page) {
  const rows = [
    ["drawing.svg", "image/svg+xml", Buffer.from(SVG), /format/],
    ["huge.png", "image/png", png(8200, 6400, () => [40, 90, 160], { flat: true }), /pixels/],
    ["heavy.png", "image/png", png(40, 40, (x, y) => [x * 6, y * 6, 0], { ballast: 17 << 20 }), /17\.\d\sMB/],
  ];
  for (const [name, mimeType, buffer, why] of rows) {
    await page.setInputFiles("#file", { name, mimeType, buffer });
    await page.waitForFunction((alt) => document.querySelector("#given").alt === alt && document.querySelector("#given-note").textContent, name, { timeout: 60_000 });
    await page.waitForFunction(() => document.querySelector("#label b") && document.querySelector("#strip").getAttribute("aria-busy") === "false");
    const note = await page.innerText("#given-note");
    assert.match(note, why);
    assert.match(note, /drawn again/);
    assert.equal(await page.isVisible("#problem"), false);
  }
}

/** What nobody can read is said, where it can be seen, in words; and nothing of the older picture is left. */
export async function unreadable(page) {
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  await page.setInputFiles("#file", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("not a picture") });
  await page.locator("#problem:visible").waitFor();
  const said = await page.innerText("#problem");
  assert.match(said, /notes\.txt .*format/);
  assert.doesNotMatch(said, /bytes|multipart|field|body/);
  await page.waitForTimeout(50);
  const box = await page.locator("#problem").boundingBox();
  assert.ok(box.y >= 0 && box.y + box.height <= (await page.evaluate(() => innerHeight)), "the problem is off-screen");
  assert.equal(await page.innerText("#label"), "", "the horse's answer stands beside another picture");
  assert.equal((await page.locator("#bars .value").allTextContents()).join(""), "");
  const left = await page.locator(".stage canvas:first-child, #seen").evaluateAll((all) =>
    all.filter((node) => new Uint32Array(node.getContext("2d").getImageData(0, 0, node.width, node.height).data.buffer).some(Boolean)).length,
  );
  assert.equal(left, 0, "maps of the horse stand beside another picture");
  await page.click('.sample[data-name="horse"]');
  await page.locator("#problem").waitFor({ state: "hidden" });
  await answered(page, "horse");
}

/** Pasted, dropped, dragged out of another page, and drawn by hand. */
export async function otherWays(page, phone) {
  const give = (kind) =>
    page.evaluate(async (event) => {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 20;
      canvas.getContext("2d").fillRect(3, 3, 9, 9);
      const blob = await new Promise((done) => canvas.toBlob(done));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([blob], `by-${event}.png`, { type: "image/png" }));
      const init = { bubbles: true, cancelable: true };
      document.body.dispatchEvent(event === "paste" ? new ClipboardEvent("paste", { ...init, clipboardData: dataTransfer }) : new DragEvent("drop", { ...init, dataTransfer }));
    }, kind);
  for (const kind of ["paste", "drop"]) {
    await give(kind);
    await page.waitForFunction((name) => document.querySelector("#given").alt === name && document.querySelector("#strip").getAttribute("aria-busy") === "false", `by-${kind}.png`);
  }
  const drag = (address) =>
    page.evaluate((uri) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.setData("text/uri-list", uri);
      document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
    }, address);
  await drag(`data:image/png;base64,${png(8, 8, () => [1, 2, 3]).toString("base64")}`);
  await page.waitForFunction(() => document.querySelector("#given").alt === "the dragged picture");
  await settled(page);
  await drag("https://example.org/cat.jpg");
  await page.locator("#problem:visible").waitFor();
  assert.match(await page.innerText("#problem"), /only that picture’s address/);
  assert.equal(await page.isVisible("label.camera"), phone, "where there is a camera, and only there, it is offered");
  assert.equal(await page.getAttribute("#camera", "capture"), "environment");
  await page.setInputFiles("#camera", { name: "camera.png", mimeType: "image/png", buffer: png(20, 30, (x, y) => [x * 9, y * 8, 90]) });
  await page.waitForFunction(() => document.querySelector("#given").alt === "camera.png");
  await settled(page);
  assert.equal(await page.isVisible("#problem"), false, "what was wrong with another picture stays");
  await page.click("#draw");
  const sheet = await page.locator("#drawing-canvas").boundingBox();
  if (phone) await page.touchscreen.tap(sheet.x + 90, sheet.y + 90);
  await page.mouse.move(sheet.x + 40, sheet.y + 40);
  await page.mouse.down();
  await page.mouse.move(sheet.x + 120, sheet.y + 160);
  await page.mouse.up();
  await page.waitForFunction(() => document.querySelector("#given").alt === "your drawing");
  await page.click("#drawing-close");
  await settled(page);
  assert.equal(await page.isVisible("#problem"), false);
}

/** A PNG, pixel by pixel; `flat` takes one colour for all, `ballast` adds bytes that mean nothing. */
export function png(width, height, colour, { flat = false, ballast = 0 } = {}) {
  const row = (y) => Buffer.concat([Buffer.of(0), ...Array.from({ length: width }, (_, x) => Buffer.from(colour(x, y)))]);
  const rows = flat ? Array(height).fill(row(0)) : Array.from({ length: height }, (_, y) => row(y));
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const extra = ballast ? [chunk("teSt", Buffer.alloc(ballast, 7))] : [];
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", header), ...extra, chunk("IDAT", deflateSync(Buffer.concat(rows), { level: 1 })), chunk("IEND", Buffer.alloc(0))]);
}

const TABLE = Array.from({ length: 256 }, (_, byte) => Array.from({ length: 8 }).reduce((crc) => (crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1), byte));

const crc32 = (bytes) => ~bytes.reduce((crc, byte) => (crc >>> 8) ^ TABLE[(crc ^ byte) & 255], ~0) >>> 0;
