// The documentation at /docs: every route is there and can be found, GETs can be tried, at both widths and in both colours.

import assert from "node:assert/strict";
import { clean } from "./access.mjs";

/** Looks a route up and tries it. */
export async function lookUp({ page, step, width }, url) {
  await page.goto(`${url}docs`);
  const { paths } = await (await fetch(`${url}openapi.json`)).json();
  const total = Object.values(paths).flatMap((item) => Object.keys(item)).length;
  await step("every route is listed", async () => {
    await page.waitForFunction((count) => document.getElementById("count").textContent.startsWith(`${count} of`), total);
    assert.equal(await page.locator("details").count(), total);
    assert.ok((await page.locator("#table tr").count()) > 20, "the table of errors");
  });
  await step("a word finds it", async () => {
    await page.fill("#search", "/samples/{name}");
    await page.waitForFunction(() => document.querySelectorAll("details:not([hidden])").length < 5);
  });
  await step("a picture can be asked for", async () => {
    const route = page.locator("#get_samples_name");
    await route.locator("summary").click();
    await route.locator("form input").first().fill("horse");
    await route.getByRole("button", { name: "Ask" }).click();
    await route.locator("img").waitFor();
    assert.ok(await route.getByText("200 after").isVisible());
  });
  await step("a body and its commands are shown", async () => {
    await page.fill("#search", "");
    await page.locator("#post_classify summary").click();
    await page.getByText("curl --data-binary @cat.png").first().waitFor(); // it is written when it is opened
    const text = await page.locator("#post_classify").innerText();
    assert.ok(text.includes(`curl --data-binary @cat.png ${url}classify`) && text.includes('"probability"'), text);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${wide} px wide`);
  });
  await step("it is accessible", () => clean(page));
}
