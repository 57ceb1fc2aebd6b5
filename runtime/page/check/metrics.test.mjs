// What the program counts, read by a real Prometheus; and the shipped dashboard asks for nothing that is not there.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { api, freePort, program } from "./program.mjs";

const dashboard = JSON.parse(readFileSync(new URL("../../../docs/grafana-dashboard.json", import.meta.url), "utf8"));
const queries = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr]));
/** A real server is asked again and again until it has what is wanted. */
const PATIENCE_MS = 30_000;

async function until(what, look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look().catch(() => null);
    if (found) return found;
    assert.ok(Date.now() < end, `not within ${PATIENCE_MS / 1e3} s: ${what}`);
    await pause(200);
  }
}

test("a real Prometheus scrapes it, promtool finds nothing wrong, and every query of the dashboard has an answer", async () => {
  const twin = await program();
  const folder = mkdtempSync(join(tmpdir(), "prometheus-"));
  const port = await freePort();
  let prometheus;
  try {
    // Something of everything: frames, a refusal, a failure, a lost device, a viewer.
    const say = (topic, payload) => api(twin.page, `commands/${topic}`, payload);
    const look = fetch(`${twin.page}snapshot.jpg`);
    await say("imager/image", { action: "update_config", config: { object_date: "2026-06-01", sample_id: "s", acq_id: "a" } });
    const run = { action: "image", pump_direction: "FORWARD", volume: 0.001, nb_frame: 2, sleep: 0.1 };
    assert.equal((await say("imager/image", run)).status, 200);
    assert.equal((await say("light", { action: "on", value: 7 })).status, 400);
    await say("planktor/twin/fault", { what: { "cable-pulled": "light" }, for_s: 1 });
    await say("light", { action: "on" });
    assert.equal((await look).status, 200);

    const text = await (await fetch(`${twin.page}metrics`)).text();
    const checked = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
    assert.equal(checked.status, 0, `promtool: ${checked.error ?? checked.stderr}`);

    const known = new Set([...text.matchAll(/^(planktor_\w+)/gm)].map(([, name]) => name));
    for (const [title, query] of queries) {
      const names = query.match(/planktor_\w+/g);
      assert.ok(names?.length, `${title} asks for something of ours`);
      for (const name of names) assert.ok(known.has(name), `${title} asks for ${name}, which there is not`);
    }

    writeFileSync(join(folder, "prometheus.yml"), `global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: planktor\n  static_configs:\n  - targets: ["${new URL(twin.page).host}"]\n`);
    prometheus = spawn("prometheus", [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`], { stdio: "ignore" });
    const query = async (expr) => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expr)}`);
      const { status, error, data } = await answer.json();
      assert.equal(status, "success", `${expr}: ${error}`);
      return data.result;
    };
    const value = async (expr) => Number((await query(expr))[0]?.value[1]);
    await until("two scrapes", async () => (await value("count_over_time(planktor_frames_saved_total[1m])")) >= 3);
    assert.equal(await value("planktor_frames_saved_total"), 2);
    assert.equal(await value("planktor_faults_total{device=\"light\"}"), 1);
    for (const [title, expr] of queries) {
      const there = await query(expr.replaceAll("$instance", ".*"));
      assert.ok(there.length > 0, `${title}: no answer to ${expr}`);
    }
    console.log(`${known.size} series names, ${queries.length} queries of the dashboard answered`);
  } finally {
    prometheus?.kill("SIGKILL");
    await twin.end();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});
