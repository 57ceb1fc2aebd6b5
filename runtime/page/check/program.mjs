// Starts the program with a twin, as a user would, and a browser that reaches nothing but this computer.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const binary = process.env.PLANKTOR ?? "target/debug/planktor";
const START_MS = 20_000;

/** A smaller camera with the same field of view: a browser on two cores is to keep up. */
const WORLD = "frame = [1014, 760]\n";

/** Runs the program until `end`; `page` is the address of its page. */
export async function program({ world = WORLD, http = "127.0.0.1:0", options = [], env = {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "planktor-page-"));
  const scenario = join(folder, "scenario.toml");
  writeFileSync(scenario, world);
  const usual = ["--data", join(folder, "data"), "--listen", "127.0.0.1:0", "--http", http];
  const child = spawn(binary, ["run", "--twin", scenario, ...usual, ...options], {
    env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "pipe"],
  });
  const lines = [];
  const waiting = [];
  let rest = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop();
    for (const line of parts) {
      lines.push(line);
      for (const [i, { pattern, done }] of [...waiting.entries()].reverse()) {
        const found = line.match(pattern);
        if (found) { waiting.splice(i, 1); done(found); }
      }
    }
  });
  const ended = new Promise((done) => child.on("exit", done));
  /** Waits for a line that the program says, or has said. */
  const said = (pattern) => {
    const found = lines.map((line) => line.match(pattern)).find(Boolean);
    if (found) return Promise.resolve(found);
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`not said: ${pattern}\n${lines.join("\n")}`)), START_MS);
      waiting.push({ pattern, done: (found) => { clearTimeout(timer); done(found); } });
    });
  };
  const [, page] = await said(/the page is on (http:\/\/\S+)/);
  await said(/connected to the MQTT broker/);
  return {
    page, child, folder, lines, said,
    async end() {
      child.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A port that nobody listens on now. */
export const freePort = () => new Promise((done) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});

/** Asks the API. */
export async function api(page, path, body) {
  const response = await fetch(`${page}api/${path}`, body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

export const browser = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** A phone, and a desk. */
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
export const DESK = { viewport: { width: 1280, height: 900 } };

/** Opens the page; whatever a script throws, or fetches from elsewhere, is kept in `wrong`. */
export async function open(browser, url, options = DESK) {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(url).origin) && !request.url().startsWith("data:")) page.wrong.push(request.url());
  });
  page.setDefaultTimeout(15_000);
  await page.goto(url);
  return page;
}
