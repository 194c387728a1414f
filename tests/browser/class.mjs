// The class: the text is what PyTorch runs, and each line is tied to what it builds.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

const PYTHON = process.env.PYTHON ?? "python3";
const TUTORIAL = `import torch
from torch import nn

class Tutorial(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3, padding=1)
        self.act1 = nn.ReLU()
        self.drop1 = nn.Dropout(0.3)
        self.conv2 = nn.Conv2d(32, 32, kernel_size=3, padding=1)
        self.act2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flat = nn.Flatten()
        self.fc3 = nn.Linear(8192, 512)
        self.act3 = nn.ReLU()
        self.drop3 = nn.Dropout(0.5)
        self.fc4 = nn.Linear(512, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = self.act1(x)
        x = self.drop1(x)
        x = self.conv2(x)
        x = self.act2(x)
        x = self.pool2(x)
        x = self.flat(x)
        x = self.fc3(x)
        x = self.act3(x)
        x = self.drop3(x)
        x = self.fc4(x)
        return x
`;

/** One click away; pointing, focus and click find the stage; the sums are told. */
export async function explained(page) {
  await page.click("#to-class");
  await page.waitForFunction(() => document.activeElement.classList.contains("line"));
  assert.ok(await page.$eval("#class-title", (node) => node.getBoundingClientRect().top < innerHeight), "the class is not in sight");
  assert.equal((await page.locator(".code li").evaluateAll((all) => all.map((node) => node.querySelector("code").textContent.trimEnd()))).join("\n") + "\n", TUTORIAL);
  const line = (text) => page.locator(".line", { hasText: text }).first();
  assert.match(await line("self.fc3 = ").innerText(), /\(32·16·16\)·512 \+ 512 = 4,194,816 parameters/);
  assert.match(await line("self.conv1 = ").innerText(), /32 maps of 32 × 32.*3·3·3·32 \+ 32 = 896 parameters/);
  await line("self.fc3 = ").focus();
  assert.match(await page.innerText(".told"), /8,192 = 32·16·16/);
  assert.equal(await page.locator(".stage.pointed .caption b").innerText(), "fc3");
  await line("self.drop1 = ").hover();
  assert.match(await page.innerText(".told"), /Changes nothing here/);
  assert.equal(await page.locator(".stage.pointed .caption b").innerText(), "conv1");
  for (const [text, about] of [["__init__(self)", /run once/], ["super()", /prepare itself/], ["def forward", /wiring/], ["return x", /scores/]]) {
    await line(text).focus();
    assert.match(await page.innerText(".told"), about);
    assert.ok((await page.innerText(".line.explained")).includes(text), "another line is marked than the one that is explained");
  }
  await line("self.pool2 = ").click();
  await page.waitForFunction(() => document.querySelector("#opened-title").textContent.startsWith("pool2"));
  assert.equal(await page.locator(".line.lit").count(), 2, "the layer's lines are not marked");
  await page.click("#class-copy");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), TUTORIAL);
}

/** PyTorch builds the class, takes our weights, and says what the server says. Tells why where there is no PyTorch. */
export async function runs(page, { url, model, weights, name, folder }) {
  if (spawnSync(PYTHON, ["-c", "import torch, numpy"]).status !== 0) return `skipped: ${PYTHON} has no PyTorch (PYTHON names another)`;
  const text = await page.evaluate(async () => {
    const load = (module) => import(new URL(module, document.baseURI));
    const [{ text }, { which }] = await Promise.all([load("blueprint.js"), load("view.js")]);
    return text(await (await fetch(`layers?model=${which().model}`)).json());
  });
  const { layers } = await (await fetch(`${url}layers?model=${model}`)).json();
  const array = async (layer) => {
    const path = join(folder, `${layer}.npy`);
    await writeFile(path, Buffer.from(await (await fetch(`${url}featuremaps/${layer}?sample=horse&format=npy&model=${model}`)).arrayBuffer()));
    return path;
  };
  const files = [weights, await array("input"), await array(layers.at(-1).name)];
  const { status, stdout, stderr } = spawnSync(PYTHON, [join(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "class.py"), name, ...files], { input: text, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.ok(Number(stdout) < 1e-4, `the class's scores differ by ${stdout}`);
  return "";
}
