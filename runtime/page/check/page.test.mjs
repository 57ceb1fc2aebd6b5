// The page in a real browser against the program with a twin: what a person sees and does.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, request as ask } from "node:http";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { does, figures, fill } from "./person.mjs";
import { DESK, PHONE, api, browser, open, program } from "./program.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let chromium;
before(async () => { chromium = await browser(); });
after(() => chromium.close());

/** A test with a program of its own, which ends in any case. */
const alone = (name, options, body) => test(name, async () => {
  const twin = await program(options);
  try {
    await body(twin);
  } finally {
    await twin.end();
  }
});

/** The picture's pixels as the browser shows them, 64 x 48, green. */
const pixels = (page) => page.evaluate(() => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 48];
  const drawn = canvas.getContext("2d");
  drawn.drawImage(document.querySelector(".picture img"), 0, 0, 64, 48);
  return [...drawn.getImageData(0, 0, 64, 48).data].filter((_, i) => i % 4 === 1);
});
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const difference = (a, b) => mean(a.map((value, i) => Math.abs(value - b[i])));

/** A browser decodes a picture when it likes: within some pictures it shows what it is to show. */
async function shows(page, what, is) {
  for (let n = 0; n < 10; n += 1) {
    if (is(await pixels(page))) return;
    await figures(page);
  }
  assert.fail(`it never showed: ${what}`);
}

alone("the picture follows light, pump and focus", {}, async ({ page: url }) => {
  const page = await open(chromium, url);
  await does(page, "#light-on");
  const lit = await figures(page);
  assert.ok(lit.brightness > 30, `lit: ${lit.brightness}`);
  // What it decoded last may still be a dark one.
  await shows(page, "the picture is lit", (now) => mean(now) > 75);
  const [before, still] = [await pixels(page), (await figures(page), await pixels(page))];
  await does(page, "[data-jog='FORWARD-0.01']");
  const noise = difference(before, still);
  await shows(page, `a stroke changes the picture by more than ${noise}`, (now) => difference(still, now) > 2 * noise);

  for (let i = 0; i < 2; i += 1) await does(page, "[data-jog='UP-1000']");
  const far = await figures(page);
  for (let i = 0; i < 2; i += 1) await does(page, "[data-jog='DOWN-1000']");
  const near = await figures(page);
  assert.ok(near.sharpness > 1.2 * far.sharpness, `sharper in focus: ${near.sharpness} against ${far.sharpness}`);

  await does(page, "#light-off");
  const dark = await figures(page);
  assert.ok(dark.brightness < 10, `dark: ${dark.brightness}`);
  await shows(page, "the picture is dark", (now) => mean(now) < 25);
  assert.deepEqual(page.wrong, []);
  await page.context().close();
});

alone("one to one shows a piece, and a click shows where", {}, async ({ page: url }) => {
  const page = await open(chromium, url);
  await page.click("text=Zoom 1:1");
  await page.waitForFunction(() => document.querySelector(".picture img").src.endsWith("preview.mjpg?zoom=1&x=50&y=50"));
  await page.click("text=Whole picture");
  const image = page.locator(".picture img");
  const { width, height } = await image.boundingBox();
  await image.click({ position: { x: width / 4, y: height / 2 } });
  await page.waitForFunction(() => document.querySelector(".picture img").src.endsWith("?zoom=1&x=25&y=50"));
  await figures(page);
  await page.context().close();
});

alone("a whole acquisition, from the form to the gallery", {}, async ({ page: url, folder }) => {
  const page = await open(chromium, url);
  await fill(page, 3);
  await page.waitForSelector("#warnings:has-text('The light is off')");
  await api(url, "commands/light", { action: "on" });
  await page.waitForFunction(() => document.getElementById("warnings").children.length === 0);
  await page.click("#use-fix");
  await page.waitForSelector("#fix:has-text('Position from the instrument')");
  await page.waitForSelector("#estimate:has-text('Imaged')");
  await page.click("#start");
  await page.waitForSelector("#arriving img");
  await page.waitForSelector("#progress:has-text('Complete')", { timeout: 60_000 });
  assert.equal(await page.locator("#arriving img").count(), 3);
  await page.waitForFunction(() => [...document.querySelectorAll("#arriving img")].every((image) => image.naturalWidth >= 400));
  await page.click("#open-set");
  await page.waitForSelector("#frames img");
  assert.equal(await page.locator("#frames img").count(), 3);
  const text = await page.innerText("main");
  for (const word of ["3 of 3 frames", "complete", "Finest mesh, µm", "from GPS", "48.7273° N, 3.9814° W"]) assert.ok(text.includes(word), `${word} in ${text}`);
  await page.click("#verify");
  await page.waitForSelector("#verdict:has-text('verified')");
  await page.click("#frames li:nth-child(2) a");
  await page.waitForFunction(() => document.getElementById("full")?.naturalWidth === 1014);
  assert.ok((await page.innerText("main")).includes("12 µL"));

  const { body } = await api(url, "datasets");
  const { date, sample, acquisition } = body.datasets[0];
  assert.deepEqual([sample, acquisition], ["S_1", "a1"]);
  const zip = Buffer.from(await (await fetch(`${url}api/datasets/${date}/${sample}/${acquisition}/zip`)).arrayBuffer());
  assert.equal(zip.subarray(0, 4).toString("latin1"), "PK\x03\x04");
  const frame = readFileSync(`${folder}/data/img/${date}/${sample}/${acquisition}/${(await api(url, `datasets/${date}/${sample}/${acquisition}`)).body.frames[0].name}`);
  assert.ok(zip.includes(frame), "a frame is in the zip as it is on disk");

  await page.click("#tabs a[href='#health']");
  await page.waitForSelector("#journal:has-text('Imager: done')");
  assert.deepEqual(page.wrong, []);
  await page.context().close();
});

alone("STOP ends an acquisition, and what was taken is kept", {}, async ({ page: url }) => {
  const page = await open(chromium, url, PHONE);
  await fill(page, 500);
  await page.click("#start");
  await page.waitForSelector("#arriving img");
  const bar = await page.locator("#stop").boundingBox();
  assert.ok(bar.y + bar.height <= 844 && bar.height >= 48, "STOP is in reach");
  await page.click("#stop");
  await page.waitForSelector("#progress:has-text('Stopped')");
  const { body } = await api(url, "datasets");
  assert.equal(body.datasets[0].end, "stopped");
  assert.ok(body.datasets[0].frames >= 1);

  const { date, sample, acquisition } = body.datasets[0];
  await page.click("#open-set");
  await page.click("#resume");
  await page.waitForSelector("#arriving img");
  await page.click("#stop");
  await page.waitForSelector("#progress:has-text('Stopped')");
  const { body: again } = await api(url, `datasets/${date}/${sample}/${acquisition}`);
  assert.ok(again.frames.length > body.datasets[0].frames, "it went on");
  assert.equal(again.end.end, "stopped");
  await page.context().close();
});

alone("of two browsers one has the say, and both can stop", {}, async ({ page: url }) => {
  const [ada, bob] = [await open(chromium, url), await open(chromium, url)];
  await ada.fill("#lease-name", "Ada");
  await does(ada, "#lease-take");
  await bob.waitForSelector("#lease-is:has-text('Ada operates the instrument')");
  await bob.click("#light-on");
  await bob.waitForSelector("#message:has-text('Ada operates the instrument for')");
  await does(ada, "[data-jog='FORWARD-0.01']");
  await ada.click("[data-jog='FORWARD-1']");
  await bob.waitForSelector("#pump-is:has-text('The pump runs')");
  await bob.click("#stop");
  await bob.waitForSelector("#message:has-text('Stopped')");
  await ada.waitForSelector("#pump-is:has-text('stands still')");
  assert.equal((await api(url, "commands/actuator/focus?wait=0", { action: "move", direction: "UP", distance: 5, speed: 0.1, owner: "Ada" })).status, 202);
  await bob.waitForSelector("#focus-is:has-text('The stage moves')");
  await bob.click("#stop");
  await ada.waitForSelector("#focus-is:has-text('stands still')");
  await bob.fill("#lease-name", "Bob");
  await does(bob, "#lease-over");
  await ada.waitForSelector("#lease-is:has-text('Bob operates the instrument')");
  await Promise.all([ada.context().close(), bob.context().close()]);
});

alone("without its MQTT broker the page goes on", {}, async ({ page: url }) => {
  const page = await open(chromium, url);
  const twin = (verb, order) => api(url, `commands/planktor/twin/${verb}`, order);
  assert.equal((await twin("fault", { what: "broker-gone" })).status, 200);
  await page.click("#tabs a[href='#health']");
  await page.waitForSelector("tr:has-text('MQTT broker'):has-text('lost')");
  await page.click("#tabs a[href='#operate']");
  await does(page, "#light-on");
  await page.waitForSelector("#light-is:has-text('100 %')");
  assert.equal((await twin("mend", {})).status, 200);
  await page.click("#tabs a[href='#health']");
  await page.waitForSelector("tr:has-text('MQTT broker'):has-text('there')");
  await page.context().close();
});

test("a program that comes back is found again, without a reload", async () => {
  let twin = await program();
  const port = new URL(twin.page).port;
  const page = await open(chromium, twin.page);
  await does(page, "#light-on");
  await twin.end();
  await page.waitForSelector("#connection:has-text('No connection')");
  twin = await program({ http: `127.0.0.1:${port}` });
  try {
    await page.waitForSelector("#connection:has-text('Connected')");
    await page.waitForSelector("#light-is:has-text('The light is off')");
    await page.reload();
    await does(page, "#light-on");
    await figures(page);
    assert.deepEqual(page.wrong.filter((url) => !url.includes("ERR_")), [], "nothing was fetched from elsewhere");
    await page.context().close();
  } finally {
    await twin.end();
  }
});

alone("what was typed is there again, and what happened meanwhile, too", {}, async ({ page: url }) => {
  const page = await open(chromium, url);
  await fill(page, 2, "b7");
  await page.fill("#field-object_date", "2026-05-31");
  await page.click("#tabs a[href='#operate']");
  await does(page, "#light-on");
  await page.click("#tabs a[href='#acquire']");
  assert.equal(await page.inputValue("#field-acq_id"), "b7");
  assert.equal(await page.inputValue("#field-object_date"), "2026-05-31", "the day of a sample is nobody else's to change");
  await page.waitForSelector("#warnings:has-text('not today')");
  await page.click("#start");
  await page.waitForSelector("#progress:has-text('Acquiring')");
  // The telephone is put away.
  const hide = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await hide(true);
  const over = async () => (await api(url, "datasets")).body.datasets[0]?.end === "complete";
  while (!(await over())) await page.waitForTimeout(200);
  await hide(false);
  await page.waitForSelector("#progress:has-text('Complete')");
  assert.equal(await page.inputValue("#field-acq_id"), "b8");
  await page.context().close();
});

alone("a picture that is not live says so", {}, async ({ page: url }) => {
  const page = await open(chromium, url);
  await figures(page);
  assert.equal(await page.textContent("#stale"), "");
  await api(url, "commands/planktor/twin/fault", { what: "camera-silent", for_s: 30 });
  await page.waitForSelector("#stale:has-text('No new picture')");
  await page.context().close();
});

alone("a code lets in who knows it", { options: ["--http-without-login", "look"] }, async ({ page: url, said }) => {
  const [, code] = await said(/log in with the code (\d{6})/);
  const page = await open(chromium, url);
  await page.waitForSelector("#who:has-text('You may look')");
  await page.click("#light-on");
  await page.waitForSelector("#message:has-text('log in to operate')");
  await page.click("summary:has-text('Log in')");
  await page.fill("#code", "no");
  await page.click("#login button");
  await page.waitForSelector("#message:has-text('wrong name, password or code')");
  await page.fill("#code", code);
  await page.click("#login button");
  await page.waitForSelector("#who:has-text('You operate')");
  await does(page, "#light-on");
  await page.click("text=Log out");
  await page.waitForSelector("#who:has-text('You may look')");
  await page.context().close();
});

alone("what comes through a proxy is not local, and is told so", {}, async ({ page: url }) => {
  const page = await open(chromium, url, { ...DESK, extraHTTPHeaders: { "x-forwarded-for": "10.0.0.7" } });
  await page.waitForSelector("#shut-out:has-text('--http-without-login')");
  assert.equal(await page.textContent("#connection"), "");
  await page.context().close();
});

alone("behind a proxy below a path everything works", { options: ["--http-without-login", "operate"] }, async ({ page: url }) => {
  const { port } = new URL(url);
  const proxy = createServer((incoming, outgoing) => {
    assert.ok(incoming.url.startsWith("/deep/planktor/"), incoming.url);
    const headers = { ...incoming.headers, "x-forwarded-host": incoming.headers.host };
    const on = ask({ port, host: "127.0.0.1", path: incoming.url.slice("/deep/planktor".length), method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    outgoing.on("close", () => on.destroy());
    on.on("error", () => outgoing.destroy());
    incoming.pipe(on);
  });
  await new Promise((done) => proxy.listen(0, "127.0.0.1", done));
  try {
    const page = await open(chromium, `http://127.0.0.1:${proxy.address().port}/deep/planktor/`);
    await does(page, "#light-on");
    await figures(page);
    await page.goto(`http://127.0.0.1:${proxy.address().port}/deep/planktor/preview/node-red`);
    await page.waitForFunction(() => document.getElementById("picture").naturalWidth === 1014);
    assert.deepEqual(page.wrong, []);
    await page.context().close();
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
});

alone("every part is accessible, on a phone and on a desk, in both languages", {}, async ({ page: url }) => {
  for (const [options, locale] of [[PHONE, "fr-FR"], [DESK, "en-GB"]]) {
    const page = await open(chromium, url, { ...options, locale });
    await page.addScriptTag({ content: axe }).catch(() => page.evaluate(axe));
    for (const part of ["operate", "acquire", "gallery", "protocols", "health"]) {
      await page.evaluate((part) => { location.hash = part; }, part);
      await page.waitForSelector(`#tabs a[href='#${part}'][aria-current]`);
      await page.waitForLoadState("load");
      const { violations } = await page.evaluate(() => window.axe.run());
      const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
      assert.deepEqual(serious.map(({ id, nodes }) => [part, id, nodes.map((node) => node.html)]), []);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${part} is ${wide} pixels too wide`);
    }
    assert.equal(await page.evaluate(() => document.documentElement.lang), locale.slice(0, 2));
    // By keyboard: STOP is the first stop.
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), "stop");
    await page.context().close();
  }
});

alone("the page is light and there at once", {}, async ({ page: url }) => {
  const page = await open(chromium, "about:blank");
  let weight = 0;
  const sized = [];
  page.on("response", (response) => {
    if (/\/(page\/.*)?$/.test(new URL(response.url()).pathname)) sized.push(response.body().then((body) => { weight += body.length; }));
  });
  await page.goto(url);
  await page.waitForSelector("#light-on");
  await Promise.all(sized);
  const painted = await page.evaluate(() => new Promise((done) => {
    const look = () => {
      const paint = performance.getEntriesByName("first-contentful-paint")[0];
      if (paint) done(paint.startTime); else requestAnimationFrame(look);
    };
    look();
  }));
  console.log(`page weight ${(weight / 1024).toFixed(0)} KiB in ${sized.length} files, first contentful paint after ${painted.toFixed(0)} ms`);
  assert.ok(sized.length > 8 && weight < 300 * 1024, `${weight} bytes`);
  await page.context().close();
});
