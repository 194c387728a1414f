// A visit to the page in one browser window: what it does is told step by step, and whatever the browser complains of fails it.

import assert from "node:assert/strict";

const GIVEN_UP = "net::ERR_ABORTED"; // by the page itself, in favour of something newer

/** A window of `width` pixels; `{ page, step, forgive, close }`. */
export async function visit(browser, { width, url, dark = false, locale = "en-GB", forced = false }) {
  const phone = width < 600;
  const context = await browser.newContext({
    viewport: { width, height: phone ? 844 : 900 },
    isMobile: phone,
    hasTouch: phone,
    reducedMotion: "reduce",
    colorScheme: dark ? "dark" : "light",
    forcedColors: forced ? "active" : "none",
    locale,
  });
  await context.addInitScript(() => {
    window.shifts = { total: 0, what: [] };
    const note = (entry) => {
      if (entry.hadRecentInput) return;
      window.shifts.total += entry.value;
      window.shifts.what.push(`${entry.value.toFixed(3)} ${entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName).join()}`);
    };
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type: "layout-shift", buffered: true });
  });
  const page = await context.newPage();
  const complaints = watch(page, url);
  const name = [`${width} px`, dark && "dark", locale.startsWith("zh") && "Chinese", forced && "forced colours"].filter(Boolean).join(", ");
  const step = async (what, work) => {
    try {
      await work(page);
    } catch (error) {
      error.message = `at ${name}: ${what}: ${error.message}`;
      throw error;
    }
    console.log(`browser ${name}: ${what}`);
  };
  /** Complaints that `expected` matches were provoked. */
  const forgive = (expected) => assert.deepEqual(complaints.splice(0).filter((text) => !expected.test(text)), [], "the browser complained");
  const close = async () => {
    assert.deepEqual(complaints, [], "the browser complained");
    await context.close();
  };
  return { page, step, forgive, close, width };
}

/** Collects what should never happen: console messages, exceptions, failed requests, other hosts. */
function watch(page, url) {
  const complaints = [];
  page.on("console", (message) => {
    const ours = /willReadFrequently/.test(message.text()); // this check looks at what is painted
    if (["error", "warning"].includes(message.type()) && !ours) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("requestfailed", (request) => {
    const fault = request.failure().errorText;
    if (fault !== GIVEN_UP) complaints.push(`${request.url()}: ${fault}`);
  });
  page.on("request", (request) => {
    const local = request.url().startsWith(url) || /^(blob|data):/.test(request.url());
    if (!local) complaints.push(`asked another host: ${request.url()}`);
  });
  return complaints;
}

/** Opens `url` and waits until the horse is answered. */
export async function open(page, url) {
  const response = await page.goto(url);
  await answered(page, "horse");
  return response;
}

/** Waits for `label`, drawn and not on its way. */
export const answered = (page, label) =>
  page.waitForFunction(
    (wanted) => document.querySelector("#label b")?.textContent === wanted && document.querySelector("#strip").getAttribute("aria-busy") === "false" && document.querySelector("#pixel .proof"),
    label,
  );

/** Waits until nothing is on its way. */
export const settled = (page) => page.waitForFunction(() => document.querySelector("#strip").getAttribute("aria-busy") === "false");
