// Drives the page in Chromium against the real server, at a desk's and at a phone's width.
//
//   node tests/browser/check.mjs target/release/convscope [--pictures FOLDER]
//
// Wants /usr/bin/chromium (or CHROMIUM=path) and `npm install` in this folder. With --pictures it leaves screenshots:
// `--pictures docs` makes the README's. PARTS=keeping,training in the environment runs only these parts.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import * as access from "./access.mjs";
import * as address from "./address.mjs";
import * as classes from "./class.mjs";
import * as docs from "./docs.mjs";
import * as first from "./first.mjs";
import * as languages from "./languages.mjs";
import * as maps from "./maps.mjs";
import * as models from "./models.mjs";
import * as networks from "./networks.mjs";
import { proxy } from "./proxy.mjs";
import { start, TOKEN } from "./server.mjs";
import * as sums from "./sums.mjs";
import * as train from "./train.mjs";
import { answered, open, visit } from "./visit.mjs";
import * as ways from "./ways.mjs";
import * as whatif from "./whatif.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const DATA = resolve(HERE, "../data");
const CIFAR = join(DATA, "cifar-10-batches-bin");
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const REFUSED = /status of 4\d\d/;
const BROKEN = /status of 4\d\d|ERR_|Failed to fetch|network error/;
const PICTURE_HEIGHT = 880;

const [program, option, pictures] = process.argv.slice(2);
const PARTS = {
  whole: async (layers) => {
    for (const width of [1280, 390]) await wholeVisit(width, layers);
  },
  languages: async () => {
    await languages.complete(resolve(HERE, "../../static"));
    for (const width of [1280, 390]) await inChinese(width);
  },
  colours: async () => {
    for (const width of [1280, 390]) await shortVisit({ width, dark: true });
    await shortVisit({ width: 1280, forced: true });
  },
  models: async () => {
    const weights = resolve(HERE, "../../models/tutorial.safetensors");
    for (const fit of ["stretch", "pad"]) await models.refitted(server, TOKEN, { weights, fit });
    const { page, step, forgive, close } = await visit(browser, { width: 1280, url: server.url });
    await open(page, server.url);
    await step("says how familiar a picture is", () => models.familiar(page));
    await step("says of familiarity what the server says", () => models.asItIs(page, server.url));
    await step("gives the model's file", () => models.file(page, weights));
    await step("frames what is cropped", () => models.fits(page, "tutorial", /the middle, shrunk to 32 × 32 pixels/));
    await step("tells what is stretched", () => models.fits(page, "stretch", /all of it, stretched to 32 × 32 pixels/));
    await step("tells what is filled up", () => models.fits(page, "pad", /all of it within 32 × 32 pixels, the rest filled/));
    await step("finds a model that was made a moment ago", () => models.justMade(page, server.url, "pad"));
    forgive(REFUSED);
    await step("opens on the tutorial's network whatever the server's default is", () => models.opensOnTutorial(page, server.url, "pad"));
    await close();
  },
  adding,
  honest: async () => {
    for (const width of [1280, 390]) await honest(width);
  },
  blueprint,
  altering: async () => {
    for (const width of [1280, 390]) await altering(width);
  },
  keeping,
  training,
  elsewhere,
  documentation: async () => {
    for (const [width, dark] of [[1280, false], [390, true]]) {
      const visited = await visit(browser, { width, dark, url: server.url });
      await docs.lookUp(visited, server.url);
      await visited.close();
    }
  },
};
const wanted = process.env.PARTS?.split(",") ?? Object.keys(PARTS);
const server = await start(program);
const between = await proxy(server.url);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
try {
  const { layers } = await (await fetch(`${server.url}layers?model=tutorial`)).json();
  await sameNumbersEitherWay(server.url);
  for (const [name, part] of Object.entries(PARTS)) if (wanted.includes(name)) await part(layers);
  console.log("browser: the page is right");
} finally {
  await browser.close();
  await between.stop();
  await server.stop();
}

/** Everything a person may do with pictures, at one width. */
async function wholeVisit(width, layers) {
  const phone = width < 600;
  const { page, step, forgive, close } = await visit(browser, { width, url: server.url });
  await step("opens on the tutorial model, under a strict policy", () => first.opens(page, server.url, TOKEN));
  await step("shows the first half-minute on one screen", () => first.oneScreen(page, phone));
  await step("axe-core finds nothing", () => access.clean(page));
  if (phone) await step("what is pressed is large enough", () => access.targets(page));
  if (option === "--pictures") await photograph(page, width);
  await step("tells how long things take", () => first.times(page));
  if (!phone) await step("the pointer moves the number", () => first.pointerMoves(page));
  await step("picks a sample by keyboard", () => first.byKeyboard(page));
  await step("reaches by Tab what is not loaded yet", () => first.whileLoading(page));
  await step("keeps up with a hurry", () => first.hurries(page));
  await step("says when it is wrong", () => first.mistakes(page));
  await step("opens every layer", () => first.everyLayer(page, layers));
  await step("covers, and switches off", () => first.invitations(page));
  await step("takes a file, and frames what is cut out of it", async () => {
    await ways.file(page, DATA);
    await ways.framed(page);
  });
  forgive(/never/);
  await step("draws again what the server cannot read", () => ways.redrawn(page));
  await step("leaves no old answer beside what nobody can read", () => ways.unreadable(page));
  await step("takes what is pasted, dropped, dragged and drawn", () => ways.otherWays(page, phone));
  forgive(REFUSED);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, "the page is wider than the window");
  await close();
}

/** In Chinese, and back. */
async function inChinese(width) {
  const { page, step, forgive, close } = await visit(browser, { width, url: server.url, locale: "zh-CN" });
  await step("speaks the reader's language", () => languages.speaks(page, server.url));
  forgive(REFUSED);
  await step("axe-core finds nothing", () => access.clean(page));
  await step("the chosen map is a table, too", () => languages.twin(page));
  await step("axe-core finds nothing in the table", () => access.clean(page));
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, "the page is wider than the window");
  await close();
}

/** In other colours. */
async function shortVisit(how) {
  const { page, step, close } = await visit(browser, { ...how, url: server.url });
  await open(page, server.url);
  await step("axe-core finds nothing", () => access.clean(page));
  if (how.forced) await step("bars, legends and marks are drawn", () => access.forced(page));
  await close();
}

/** The arithmetic, on the bundled network and on one of every kind of layer. */
async function adding() {
  const folder = await mkdtemp(join(tmpdir(), "convscope-classes-"));
  const { page, step, close } = await visit(browser, { width: 1280, url: server.url });
  try {
    await open(page, server.url);
    await step("every number adds up", () => sums.everyNumber(page, ["conv2d", "relu", "max_pool2d", "flatten", "linear"]));
    await step("what is written adds up", () => sums.written(page));
    await step("softmax in numbers", () => sums.softmax(page));
    await networks.pictures(folder);
    const model = await networks.train(server.url, TOKEN, { arch: networks.MIXED, data: folder });
    await step("classes called 1 to 12 keep their order", () => networks.inOrder(page, server.url, model));
    await step("every number of another network adds up", () => sums.everyNumber(page, networks.MIXED.layers.map(({ kind }) => kind)));
    await step("shows another network on one screen", () => access.clean(page));
    const quick = await networks.written(resolve(HERE, "../../src/network/architecture/presets/speedrun.toml"));
    for (const [name, arch, data] of [["speedrun", quick, CIFAR], ["resnet20", "resnet20", CIFAR], ["grey", networks.GREY, folder]]) {
      const another = await networks.train(server.url, TOKEN, { arch, data });
      await step(`shows a network like ${name}`, () => networks.choose(page, server.url, another));
      if (arch === quick) await step("shows every stage and layer of it, and its class", () => networks.whole(page, quick));
      if (arch === networks.GREY) await step("shows a grey picture", () => networks.grey(page));
      if (arch === "resnet20") await step("keeps a deep network's stage in sight", () => networks.deep(page, server.url, another));
      await step(`every number of ${name} adds up`, () => sums.everyNumber(page, arch.layers?.map(({ kind }) => kind) ?? ["batch_norm2d", "add"]));
    }
    await close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What the maps show. */
async function honest(width) {
  const { page, step, close } = await visit(browser, { width, url: server.url });
  await open(page, server.url);
  await step("paints in the server's colours", () => maps.colours(page));
  await step("enlarges whole cells", () => maps.wholeCells(page));
  await step("says the exact value", () => maps.exactValue(page));
  await step("shows the tutorial's scale, and what it blows up", () => maps.asInTheTutorial(page));
  await step("marks what is silent, and writes out short vectors", () => maps.silentAndShort(page));
  await step("axe-core finds nothing", () => access.clean(page));
  await close();
}

/** The class, of the bundled network and of one of every kind of layer. */
async function blueprint() {
  const folder = await mkdtemp(join(tmpdir(), "convscope-class-"));
  const { page, step, close } = await visit(browser, { width: 1280, url: server.url });
  const run = async (about) => console.log(`browser: PyTorch runs the class of ${about.model}: ${(await classes.runs(page, { url: server.url, folder, ...about })) || "the same scores"}`);
  try {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await open(page, server.url);
    await step("explains the class", () => classes.explained(page));
    await step("axe-core finds nothing", () => access.clean(page));
    await run({ model: "tutorial", name: "Tutorial", weights: resolve(HERE, "../../models/tutorial.safetensors") });
    await networks.pictures(folder);
    const model = await networks.train(server.url, TOKEN, { arch: networks.MIXED, data: folder });
    await networks.inOrder(page, server.url, model);
    const ran = async (of) => run({ model: of, name: await page.$eval(".line", (node) => node.textContent.match(/class (\w+)/)[1]), weights: join(server.folder, `data/models/${of}/1.safetensors`) });
    await ran(model);
    const quick = await networks.train(server.url, TOKEN, { arch: await networks.written(resolve(HERE, "../../src/network/architecture/presets/speedrun.toml")), data: CIFAR });
    await networks.choose(page, server.url, quick);
    await ran(quick);
    await close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What if it were otherwise. */
async function altering(width) {
  const folder = await mkdtemp(join(tmpdir(), "convscope-models-"));
  await networks.pictures(folder);
  const model = await networks.train(server.url, TOKEN, { arch: networks.MIXED, data: folder });
  await rm(folder, { recursive: true, force: true });
  const { page, step, close } = await visit(browser, { width, url: server.url });
  await open(page, server.url);
  await step("ranks the maps", () => whatif.ranks(page));
  await step("shifts, turns and lightens", () => whatif.alters(page));
  await step("compares two pictures, and two models", () => whatif.compares(page, model));
  await step("axe-core finds nothing", () => access.clean(page));
  if (width < 600) await step("what is pressed is large enough", () => access.targets(page));
  await close();
}

/** The address and the commands, through a proxy with a path of its own. */
async function keeping() {
  const { page, step, forgive, close } = await visit(browser, { width: 1280, url: between.url });
  const another = () => page.context().newPage();
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await open(page, between.url);
  await step("the address holds the view", () => address.shared(page, another));
  await step("goes back and forth", () => address.back(page));
  await step("copies commands that work", () => address.commands(page));
  await step("saves files", () => address.files(page));
  await step("says what of an address is gone", () => address.gone(page, between.url));
  forgive(REFUSED);
  await step("says that a picture of one's own is not in the address", () => address.own(page, join(DATA, "odd/cmyk.jpg"), another));
  forgive(/never/);
  await close();
}

/** Runs, through a proxy with a path of its own whose line breaks. */
async function training() {
  const { page, step, forgive, close } = await visit(browser, { width: 1280, url: between.url });
  await open(page, `${between.url}#token=${TOKEN}`);
  await step("says how far the data are", () => languages.dataStages(page));
  await step("trains, and draws the curve", () => train.trains(page, CIFAR, TOKEN));
  await step("cancels a run", () => train.cancels(page, CIFAR));
  forgive(/never/);
  await step("connects again when the line breaks", () => train.reconnects(page, CIFAR, between.cut));
  forgive(BROKEN);
  await step("axe-core finds nothing in a run", () => access.clean(page));
  await close();
}

/** A server that takes no paths. */
async function elsewhere() {
  const strict = await start(program, { CONVSCOPE_TRAIN__ALLOW_PATHS: "never" });
  try {
    const { page, step, forgive, close } = await visit(browser, { width: 1280, url: strict.url });
    await open(page, strict.url);
    await step("keeps a right token and forgets a wrong one", () => train.refusals(page, CIFAR, TOKEN));
    forgive(REFUSED);
    await close();
  } finally {
    await strict.stop();
  }
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
  await answered(page, "horse");
  await page.evaluate(() => (document.activeElement.blur(), scrollTo(0, 0)));
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(pictures, `page-${width}.png`), fullPage: true, clip: { x: 0, y: 0, width, height: PICTURE_HEIGHT } });
}
