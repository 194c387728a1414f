// For everyone: what axe-core finds, and what is left of the page in forced colours.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** No finding of axe-core, whatever its weight. */
export async function clean(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html).join(" | ")}`), []);
}

/** Bars, the legend and the marks are still drawn where the system decides the colours. */
export async function forced(page) {
  const differs = (selector, pseudo) =>
    page.locator(selector).first().evaluate((node, part) => {
      const style = getComputedStyle(node, part);
      const behind = getComputedStyle(node.parentNode).backgroundColor;
      return style.backgroundImage !== "none" || (style.backgroundColor !== behind && style.backgroundColor !== "rgba(0, 0, 0, 0)") || parseFloat(style.borderTopWidth) > 0;
    }, pseudo);
  for (const selector of ["#bars .best .fill", "#bars li:first-child .fill", "#opened .scale", "#pixel .cell"]) assert.ok(await differs(selector), `${selector} vanishes`);
  assert.ok(await differs(".stage .pulse:not([hidden])", "::before"), "the pulse vanishes");
}

/** On a phone everything that is pressed is at least 24 pixels each way. */
export async function targets(page) {
  const small = await page.locator("button:visible, select:visible, input:visible, a:visible, summary:visible").evaluateAll((all) =>
    all
      .filter((node) => !node.classList.contains("unseen") && !node.classList.contains("skip"))
      .map((node) => [node.outerHTML.slice(0, 90), node.getBoundingClientRect()])
      .filter(([, box]) => box.width < 24 || box.height < 24)
      .map(([html, box]) => `${html} ${box.width}×${box.height}`),
  );
  assert.deepEqual(small, []);
}
