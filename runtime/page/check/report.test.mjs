// The report of a data set in a real browser: without a network, on a phone, with a screen reader, and from the page.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { DESK, PHONE, api, binary, browser, open, program } from "./program.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const planktor = (...options) => promisify(execFile)(binary, options);
const HOSTILE = "<script>document.title = 'run'</script><img src=http://evil.example/x>";
const FRAMES = 60;
let chromium;
let folder;
let set;

/** A scenario in virtual time: small frames of a whole acquisition, said to be from beyond the date line. */
const scenario = () => {
  const config = {
    object_date: "2026-06-01", sample_id: "S 1", acq_id: "a1", sample_project: HOSTILE, sample_operator: "Ada",
    object_lat: -16.5, object_lon: -179.99, object_depth_min: 0, object_depth_max: 10, acq_celltype: 300, process_pixel: 0.75,
  };
  const image = { action: "image", pump_direction: "FORWARD", volume: 0.006, nb_frame: FRAMES, sleep: 0.5, flowrate: 3 };
  const says = (at_s, payload) => `[[message]]\nat_s = ${at_s}\ntopic = "imager/image"\npayload = ${toml(payload)}\n`;
  return `seed = 3\nframe = [256, 192]\n${says(1, { action: "update_config", config })}${says(2, image)}`;
};
const toml = (value) => (typeof value === "object"
  ? `{ ${Object.entries(value).map(([key, inner]) => `${key} = ${toml(inner)}`).join(", ")} }` : JSON.stringify(value));

before(async () => {
  chromium = await browser();
  folder = mkdtempSync(join(tmpdir(), "planktor-report-"));
  writeFileSync(join(folder, "scenario.toml"), scenario());
  await planktor("run", "--twin", join(folder, "scenario.toml"), "--hurry", "--data", join(folder, "data"));
  set = join(folder, "data/img/2026-06-01/S_1/a1");
});
after(async () => {
  await chromium?.close();
  rmSync(folder, { recursive: true, force: true });
});

test("the report opens without a network, on a phone and at a desk, for everybody", async () => {
  const names = readdirSync(set).sort();
  const file = join(folder, "report.html");
  const { stdout } = await planktor("report", set, "--to", file);
  assert.equal(stdout.trim(), file);
  assert.deepEqual(readdirSync(set).sort(), names, "nothing was written into the data set");
  assert.ok(statSync(file).size < 2_000_000, `${statSync(file).size} bytes`);
  for (const look of [PHONE, { ...PHONE, colorScheme: "dark" }, DESK, { ...DESK, colorScheme: "dark" }]) {
    const context = await chromium.newContext({ ...look, offline: true });
    const page = await context.newPage();
    const asked = [];
    page.on("request", (request) => { if (!/^(file|data):/.test(request.url())) asked.push(request.url()); });
    await page.goto(`file://${file}`);
    assert.equal(await page.title(), "S 1 / a1 – data set report");
    assert.equal(await page.locator(".frames img").count(), FRAMES);
    const shown = await page.evaluate(() => [...document.images].every((image) => image.complete && image.naturalWidth >= 100));
    assert.ok(shown, "every thumbnail is a picture");
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= window, `nothing beyond the right edge: ${content} on ${window}`);
    const text = await page.innerText("main");
    for (const words of ["16.5000° S, 179.9900° W", HOSTILE, "from where the sample is said to be", "Valid and complete."]) {
      assert.ok(text.includes(words), `${words} in ${text}`);
    }
    // A chart's line is drawn, and so is the coast.
    for (const drawn of ["#clock-t ~ .line", ".chart .line.l0", ".map .coast"]) {
      const box = await page.locator(drawn).first().evaluate((path) => path.getBBox().width);
      assert.ok(box > 50, `${drawn} is ${box} wide`);
    }
    assert.deepEqual(asked, []);
    await context.close();
    // The policy of the page lets no script in: the check comes in by a door for tests.
    const checked = await chromium.newContext({ ...look, bypassCSP: true });
    const again = await checked.newPage();
    await again.goto(`file://${file}`);
    await again.evaluate(axe);
    const { violations } = await again.evaluate(() => globalThis.axe.run());
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), []);
    await checked.close();
  }
});

test("the page has a button for it", async () => {
  const twin = await program();
  try {
    cpSync(join(folder, "data"), join(twin.folder, "data"), { recursive: true });
    const page = await open(chromium, `${twin.page}#gallery/2026-06-01/S_1/a1`, PHONE);
    const [report] = await Promise.all([page.context().waitForEvent("page"), page.click("#report")]);
    await report.waitForLoadState();
    assert.equal(await report.title(), "S 1 / a1 – data set report");
    assert.equal(await report.locator(".frames img").count(), FRAMES);
    assert.deepEqual(page.wrong, []);
    await page.context().close();
    const none = await api(twin.page, "datasets/2026-06-01/S_1/none/report");
    assert.equal(none.status, 404);
    const policy = (await fetch(`${twin.page}api/datasets/2026-06-01/S_1/a1/report`)).headers.get("content-security-policy");
    assert.match(policy, /default-src 'none'.*sandbox/);
  } finally {
    await twin.end();
  }
});
