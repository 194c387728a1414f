// The first half-minute: what is there without a click, without scrolling, and by keyboard alone.

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { answered, open } from "./visit.mjs";

const PAGE_LIMIT = 100 * 1024;

/** Opens on the horse; counts what the page weighs. */
export async function opens(page, url, token) {
  const sizes = [];
  const weigh = async (response) => {
    if (/text|javascript|svg/.test(response.headers()["content-type"] ?? "")) sizes.push(gzipSync(await response.body()).length);
  };
  page.on("response", weigh);
  const response = await open(page, `${url}#token=${token}`);
  page.off("response", weigh);
  const policy = response.headers()["content-security-policy"] ?? "";
  assert.match(policy, /default-src '(none|self)'/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(sizes.length > 10 && total < PAGE_LIMIT, `${sizes.length} files, ${total} bytes compressed`);
  assert.equal(await page.inputValue("#model"), "tutorial");
  assert.doesNotMatch(page.url(), /token/, "the token stays in the address");
  assert.equal(await page.isVisible("#token-field"), false);
}

/** Photo, input, stages with numbers between them, named bars, one pulsing number with its sum: at a desk without scrolling. */
export async function oneScreen(page, phone) {
  assert.match(await page.innerText("#given-note"), /trained on/, "the horse is not said to be a training picture");
  assert.equal(await page.getAttribute('.sample[data-name="horse"]', "aria-pressed"), "true");
  assert.deepEqual(await page.locator(".stage .caption b").allTextContents(), ["conv1", "conv2", "pool2", "fc3"]);
  const how = await page.locator(".stage .how").allTextContents();
  assert.match(how[0], /32 filters of 3×3×3$/);
  assert.match(how[1], /32 filters of 3×3×32/);
  assert.match(how[2], /largest of each 2×2/);
  assert.match(how[3], /512 weighted sums of all 8,192 = 32·16·16/);
  const seen = await page.$eval("#seen", ({ width, height }) => [width, height]);
  assert.deepEqual(seen, [32, 32]);
  const values = await page.locator("#bars .value").allTextContents();
  assert.equal(values.length, 10);
  assert.ok(values.every((text) => /^[<>]? ?\d+\.\d\s%$/.test(text)), values.join());
  const lengths = await page.locator("#bars .fill").evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width / bar.parentNode.clientWidth));
  assert.ok(Math.abs(lengths.reduce((sum, length) => sum + length, 0) - 1) < 0.01, "the bars do not add up to one");
  const cut = await page.locator("#bars .name").evaluateAll((all) => all.filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.textContent));
  assert.deepEqual(cut, [], "a name is cut off");
  const made = await page.innerText("#pixel .made");
  assert.match(made, /^A convolution: .*all added up, is this one number.*slides over every place.*blue where its pattern is/, "nothing says what a convolution does");
  assert.match(made, /middling brightness/, "nothing says what a negative colour is");
  const parts = await page.locator("#pixel .made, #pixel .work, #pixel .proof").evaluateAll((all) => all.map((node) => node.getBoundingClientRect().top));
  assert.deepEqual(parts, [...parts].sort((a, b) => a - b), "what is done is said after it");
  assert.deepEqual(await page.locator("#pixel .window-name").allTextContents(), ["red × filter", "green × filter", "blue × filter"]);
  const [shown, best] = await page.evaluate(async () => {
    const values = new Float32Array(await (await fetch("featuremaps/conv1?model=tutorial&sample=horse&channel=0&format=f32")).arrayBuffer());
    const inside = values.filter((_, i) => i % 32 > 0 && i % 32 < 31 && i > 31 && i < 992);
    return [Number(document.querySelector("#pixel .server").dataset.value), inside.reduce((most, value) => Math.max(most, value))];
  });
  assert.equal(shown, best, "the first number is not one that the filter answers to");
  for (const canvas of await page.locator(".stage canvas:first-child, #seen").all()) assert.ok(await isPainted(canvas), "a stage is empty");
  assert.ok((await page.locator(".stage .pulse:not([hidden])").count()) === 1, "nothing pulses");
  const hidden = await page.$eval("#stages", (node) => node.scrollWidth - node.clientWidth);
  assert.equal(await page.locator("#stages.after").count(), hidden > 8 ? 1 : 0, `the last stage fades, and ${hidden} px are out of sight`);
  const bottom = (selector) => page.$eval(selector, (node) => node.getBoundingClientRect().bottom + scrollY);
  if (phone) assert.ok((await bottom("#bars")) <= 844, "the answer is not beneath the photo");
  else assert.ok((await bottom(".invitations")) <= 900, "the first screen needs scrolling");
  const shifts = await page.evaluate(() => window.shifts);
  assert.ok(shifts.total < 0.05, `the layout shifts by ${shifts.total}: ${shifts.what.join("; ")}`);
}

const isPainted = (canvas, colours = 8) =>
  canvas.evaluate((node, colours) => {
    const { data } = node.getContext("2d").getImageData(0, 0, node.width, node.height);
    return new Set(new Uint32Array(data.buffer)).size > colours;
  }, colours);

/** The pointer moves the number and its window in the picture, and the sum follows. */
export async function pointerMoves(page) {
  const field = () => page.$eval("#field", (node) => [node.style.left, node.style.top].join());
  const before = [await field(), await page.innerText("#pixel .sum")];
  const box = await page.locator(".stage canvas").first().boundingBox();
  await page.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.3);
  await page.waitForFunction((sum) => document.querySelector("#pixel .sum").textContent !== sum, before[1]);
  assert.notEqual(await field(), before[0], "the window does not follow");
  assert.notEqual(await page.inputValue('#pixel [data-step="channel"]'), "0");
  const seen = await page.locator("#seen").boundingBox();
  await page.mouse.move(seen.x + seen.width * (10.5 / 32), seen.y + seen.height * (20.5 / 32));
  await page.waitForFunction(() => document.querySelector('#pixel [data-step="row"]').value === "20");
  assert.equal(await page.inputValue('#pixel [data-step="column"]'), "10");
}

/** How long a click takes until probabilities, the whole strip and a cell's sum are there: told, and judged by whoever reads it. */
export async function times(page) {
  const took = await page.evaluate(async () => {
    const $ = (selector) => document.querySelector(selector);
    const until = (is) =>
      new Promise((done, failed) => {
        const from = performance.now();
        const look = () => {
          const passed = performance.now() - from;
          if (is()) done(Math.round(passed));
          else if (passed > 20_000) failed(new Error(`still not there: ${is}`));
          else requestAnimationFrame(look);
        };
        look();
      });
    const values = () => [...document.querySelectorAll("#bars .value")].map((node) => node.textContent).join();
    const painted = () => [...document.querySelectorAll(".stage canvas:first-child")].map((node) => node.getContext("2d").getImageData(0, 0, node.width, node.height).data.reduce((sum, value, i) => (sum + value * (i % 251)) % 1e9, 0));
    const before = [values(), painted()];
    $('.sample[data-name="frog"]').click();
    const began = performance.now();
    await until(() => values() !== before[0] && $("#label b"));
    const answer = Math.round(performance.now() - began);
    await until(() => $("#strip").getAttribute("aria-busy") === "false" && painted().every((sum, i) => sum !== before[1][i]));
    const strip = Math.round(performance.now() - began);
    const sum = $("#pixel .sum").dataset.sum;
    const row = $('#pixel [data-step="row"]');
    row.value = String((Number(row.value) + 5) % 28);
    row.dispatchEvent(new Event("change"));
    return { answer, strip, sum: await until(() => $("#pixel .sum").dataset.sum !== sum) };
  });
  console.log(`browser: from a click to probabilities ${took.answer} ms, to the whole strip ${took.strip} ms; from a step to a cell's sum ${took.sum} ms`);
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
}

/** From the top of the page by Tab alone, as without a mouse. */
export async function byKeyboard(page) {
  await page.evaluate(() => (document.activeElement.blur(), scrollTo(0, 0)));
  await page.locator(".skip").focus();
  const focused = () => page.evaluate(() => document.activeElement.dataset.name);
  for (let i = 0; i < 20 && (await focused()) !== "cat"; i++) await page.keyboard.press("Tab");
  assert.equal(await focused(), "cat", "Tab does not reach the samples");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#given").alt === "cat" && document.querySelector("#strip").getAttribute("aria-busy") === "false");
  assert.equal(await page.getAttribute('.sample[data-name="cat"]', "aria-pressed"), "true");
  assert.match(await page.innerText("#given-note"), /never seen/);
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
}

/** While nothing of a picture is there yet, Tab still finds every stage and every layer. */
export async function whileLoading(page) {
  let go = null;
  const held = new Promise((done) => (go = done));
  await page.route(/\/featuremaps/, async (route) => {
    await held;
    await route.continue();
  });
  await page.click('.sample[data-name="truck"]');
  await page.waitForFunction(() => document.querySelector("#label").textContent === "" && document.querySelector("#given").alt === "truck");
  await page.locator("#invite-own").focus();
  const wanted = await page.locator(".chip").allTextContents();
  const met = [];
  for (let i = 0; i < 40 && met.length < wanted.length; i++) {
    await page.keyboard.press("Tab");
    met.push(...(await page.evaluate(() => (document.activeElement.classList.contains("chip") ? [document.activeElement.textContent] : []))));
  }
  assert.deepEqual(met, wanted, "Tab skips layers that are not loaded yet");
  assert.equal(await page.locator(".stage .open:not([disabled])").count(), 4);
  go();
  await answered(page, "truck");
  await page.unroute(/\/featuremaps/);
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
}

/** Every layer opens, those that change nothing when asked for; the grid and the cells work by keyboard. */
export async function everyLayer(page, layers) {
  await page.click(".chip.quiet");
  for (const layer of layers) {
    await page.click(`.chip >> text=/^${layer.name}$/`);
    await page.waitForFunction((name) => document.querySelector("#opened-title").textContent.startsWith(name) && document.querySelector("#opened .legend .scale"), layer.name);
    const maps = layer.output.length === 3;
    assert.equal(await page.locator("#opened .tile").count(), maps ? layer.output[0] : 0, layer.name);
    assert.match(await page.innerText("#opened"), new RegExp(layer.output[0].toLocaleString("en")), layer.name);
    // A single map: after ReLU, there may be three numbers in it that are not 0.
    assert.ok(await isPainted(page.locator("#opened .large canvas"), 1), `${layer.name} has no picture`);
    assert.equal(await page.evaluate(() => document.activeElement.id), "opened-title", "focus is not on what was opened");
  }
  await page.click('.chip >> text="conv1"');
  assert.equal(await page.locator('#opened .tile[tabindex="0"]').count(), 1, "a grid is more than one stop of Tab");
  await page.locator("#opened .tile.chosen").focus();
  const chosen = await page.inputValue('#pixel [data-step="channel"]');
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction((channel) => document.querySelector('#pixel [data-step="channel"]').value === channel, String(Number(chosen) + 1));
  await page.locator("#opened .large").focus();
  const before = await page.innerText(".value-here");
  await page.keyboard.press("ArrowDown");
  assert.notEqual(await page.innerText(".value-here"), before, "the arrow keys do not move");
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "conv1", "Escape does not go back to what was pressed");
  await page.locator(".stage .open").nth(1).focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "opened-title" && document.activeElement.textContent.startsWith("conv2"));
  await page.keyboard.press("Escape");
  assert.ok(await page.locator(".stage .open").nth(1).evaluate((node) => node === document.activeElement), "Escape does not go back to the stage");
  await page.click('.chip >> text="conv1"');
}

/** Whoever is in a hurry gets the last picture asked for, and nothing of those before. */
export async function hurries(page) {
  const names = await page.locator(".sample").evaluateAll((all) => all.map((node) => node.dataset.name));
  for (const gap of [0, 3, 10, 30]) {
    await page.evaluate(
      async ([order, wait]) => {
        for (const name of order) {
          document.querySelector(`.sample[data-name="${name}"]`).click();
          if (wait) await new Promise((done) => setTimeout(done, wait));
        }
      },
      [names, gap],
    );
    await page.waitForFunction((name) => document.querySelector("#given").alt === name && document.querySelector("#strip").getAttribute("aria-busy") === "false" && document.querySelector("#label b"), names.at(-1));
    const [shown, told] = await page.evaluate(async (name) => {
      const picture = await (await fetch(`samples/${name}`)).blob();
      const { label } = await (await fetch("classify?model=tutorial", { method: "POST", body: picture })).json();
      return [document.querySelector("#label b").textContent, label];
    }, names.at(-1));
    assert.equal(shown, told, `${gap} ms apart, another picture's answer stands`);
  }
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
}

/** Pictures that the network gets wrong are among the samples, and the page says so. */
export async function mistakes(page) {
  for (const [name, truth] of [["ship-on-wheels", "ship"], ["bird-in-the-sky", "bird"]]) {
    const sample = page.locator(`.sample[data-name="${name}"]`);
    assert.match(await sample.getAttribute("title"), new RegExp(`^${truth} .*often take it for something else`));
    await sample.click();
    await page.waitForFunction((said) => document.querySelector("#wrong").textContent === said, `Wrong: this is a ${truth}.`);
    assert.deepEqual(await page.locator("#bars .missed .name").allTextContents(), [truth], "the class it should have named is not marked");
    assert.equal(await page.$eval("#bars .best .name", (node) => node.scrollWidth > node.clientWidth), false, "the name in bold is cut off");
    const [label, wrong, bars] = await Promise.all(["#label", "#wrong", "#bars"].map((selector) => page.locator(selector).boundingBox()));
    assert.ok(label.y < wrong.y && wrong.y < bars.y, "that it is wrong does not stand beneath the answer");
    assert.notEqual(await page.innerText("#label b"), truth);
    assert.match(await page.innerText("#given-note"), new RegExp(`a ${truth} it has never seen`));
  }
  await page.click('.sample[data-name="horse"]');
  await answered(page, "horse");
  assert.equal(await page.innerText("#wrong"), "", "a right answer is called wrong");
}

/** The three invitations do what they say, and undo it. */
export async function invitations(page) {
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.click("#invite-own")]);
  assert.ok(chooser);
  const answer = () => page.locator("#bars .value").allTextContents();
  const before = await answer();
  await page.click("#invite-cover");
  await page.waitForFunction(() => !document.querySelector("#changed").hidden && !document.querySelector("#cover").hidden);
  assert.notDeepEqual(await answer(), before, "covering changes nothing");
  assert.equal(await page.locator("#bars .was:visible").count(), 10, "how it was is not marked");
  const left = await page.$eval("#cover", (node) => node.style.left);
  await page.locator("#seen-plate").focus();
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction((was) => document.querySelector("#cover").style.left !== was, left);
  await page.click("#changed button");
  await page.waitForFunction(() => document.querySelector("#changed").hidden && document.querySelector("#cover").hidden);
  assert.deepEqual(await answer(), before);
  await page.click("#invite-off");
  await page.waitForFunction(() => /conv1:\d+/.test(document.querySelector("#changed").textContent));
  assert.equal(await page.getAttribute("#invite-off", "aria-pressed"), "true");
  assert.notDeepEqual(await page.locator("#bars .score").allTextContents(), [], "no scores");
  await page.click("#invite-off");
  await page.waitForFunction(() => document.querySelector("#changed").hidden);
  assert.deepEqual(await answer(), before);
}
