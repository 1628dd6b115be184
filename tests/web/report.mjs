/* A built report in the real Chromium: nothing is asked from any network, nothing is complained of, one card a person, the
 * slider changes the chart, charts are made only near the window and all of them for paper.
 *
 *   node tests/web/report.mjs [REPORT.html ...]     without a report: the built page with simulated data, both shapes
 *   CHROMIUM names the browser (/usr/bin/chromium) */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const web = resolve(dirname(fileURLToPath(import.meta.url)), "../../web");
const { chromium } = createRequire(join(web, "package.json"))("playwright-core");
const scratch = mkdtempSync(join(tmpdir(), "report-"));

async function simulated() {
  const { fill, sample } = await import(pathToFileURL(join(web, "tools/sample.mjs")).href);
  const template = readFileSync(join(web, "dist/report.html"), "utf8");
  return [["one", { people: 12 }], ["two", { people: 20, two: true }]].map(([name, how]) => {
    const file = join(scratch, `${name}.html`);
    writeFileSync(file, fill(template, sample(how)));
    return file;
  });
}

/* Number of drawn pixels of a chart's canvas, and a sum that changes when the drawing does. */
const drawing = (box) => {
  const canvas = box.querySelector("canvas");
  if (!canvas) return null;
  const copy = document.createElement("canvas");
  copy.width = canvas.width;
  copy.height = canvas.height;
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const px = context.getImageData(0, 0, copy.width, copy.height).data;
  let inked = 0;
  let sum = 0;
  for (let i = 0; i < px.length; i += 4) {
    if (px[i + 3] > 0) inked++;
    sum = (sum * 31 + px[i] + 3 * px[i + 1] + 7 * px[i + 2] + px[i + 3]) % 2147483647;
  }
  return { inked, sum };
};

async function check(browser, file) {
  const asked = [];
  const complaints = [];
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const url = pathToFileURL(file).href;
  page.on("request", (r) => r.url() !== url && !r.url().startsWith("data:") && asked.push(r.url()));
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && complaints.push(m.text()));
  page.on("pageerror", (e) => complaints.push(String(e)));
  await page.goto(url);
  const report = JSON.parse(readFileSync(file, "utf8").match(/<script id="doppel-data"[^>]*>([\s\S]*?)<\/script>/)[1]);

  assert.equal(await page.title(), `Doppel report: ${report.kind.title}`);
  const cards = page.locator("article.card");
  assert.equal(await cards.count(), report.patients.length, "one card a person");
  assert.match(await cards.first().locator("h3").innerText(), new RegExp(`^Person ${report.summary.worst_first[0]}\\b`));
  assert.equal(await page.locator("table.glance tbody tr").count(), report.patients.length);
  const text = await page.locator("main").innerText();
  assert.ok(text.includes("Research use. Nobody was treated."));
  for (const bad of ["undefined", "NaN", "Infinity", "[object"]) assert.ok(!text.includes(bad), `the page says "${bad}"`);

  const boxes = page.locator(".fan-box");
  const nobservable = report.observables.length;
  assert.equal(await boxes.count(), report.patients.length * nobservable, "one chart a person and observable");
  if (report.patients.length > 6) assert.ok((await page.locator(".fan-box canvas").count()) < (await boxes.count()), "charts far away wait");

  await cards.first().scrollIntoViewIfNeeded();
  const box = boxes.first();
  await box.locator("canvas").waitFor();
  await page.waitForTimeout(200);
  const before = await box.evaluate(drawing);
  assert.ok(before.inked > 2000, "the chart is drawn");
  if ((report.untils ?? []).length > 1) await slider(page, box, before, report);

  for (const width of [1280, 480]) {
    await page.setViewportSize({ width, height: 900 });
    await page.waitForTimeout(150);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(over <= 0, `at ${width} px the page is ${over} px too wide`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  const pdf = await page.pdf({ format: "A4", printBackground: true });
  assert.ok(pdf.length > 20000);
  assert.equal(await page.locator(".fan-box canvas").count(), await boxes.count(), "all charts are drawn for paper");
  assert.deepEqual(asked, [], "the page asked for something");
  assert.deepEqual(complaints, [], "the page complained");
  await context.close();
}

async function slider(page, box, before, report) {
  const input = page.locator("#until");
  const first = page.locator("article.card").first();
  const main = report.untils.findIndex((u) => Math.abs(u - report.until) < 1e-9);
  if (main >= 0) assert.equal(Number(await input.inputValue()), main, "the slider begins at the report's own stop");
  const words = await first.locator(".score").innerText();
  await input.focus();
  await page.keyboard.press("Home");
  await page.waitForTimeout(200);
  const none = await box.evaluate(drawing);
  assert.notEqual(none.sum, before.sum, "the slider changes the chart");
  assert.match(await page.locator(".slider output").innerText(), /before any sample|samples up to/);
  assert.notEqual(await first.locator(".score").innerText(), words, "the slider changes the score line");
  if (main >= 0) {
    for (let k = 0; k < main; k++) await page.keyboard.press("ArrowRight");
    await page.waitForTimeout(200);
    assert.equal((await box.evaluate(drawing)).sum, before.sum, "back at the report's stop the chart is the same");
  }
}

const given = process.argv.slice(2);
const files = given.length ? given.map((f) => resolve(f)) : await simulated();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  for (const file of files) {
    await check(browser, file);
    console.log(`ok ${file.startsWith(scratch) ? `simulated ${file.slice(scratch.length + 1)}` : file}`);
  }
} finally {
  await browser.close();
  rmSync(scratch, { recursive: true, force: true });
}
