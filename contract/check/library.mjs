// Talks to the program as JavaScript clients do: MQTT 5 and 3.1.1 over websockets, with mqtt.js.
//   node library.mjs PATH_OF_PLANKTOR
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mqtt from "mqtt";

const LIMIT_MS = 60_000;

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** The next message on a topic that fits. */
function next(client, topic, fits = () => true) {
  return new Promise((resolve) => {
    const hear = (there, payload, packet) => {
      if (there !== topic) return;
      const said = JSON.parse(payload);
      if (!fits(said)) return;
      client.off("message", hear);
      resolve({ said, packet });
    };
    client.on("message", hear);
  });
}

/** As the JavaScript library asks: a fresh topic below the command's, no correlation data. */
async function request(client, topic, command, correlationData) {
  const responseTopic = `${topic}/${Math.floor(Math.random() * 1e9)}/response`;
  await client.subscribeAsync(responseTopic, { qos: 1 });
  const answer = next(client, responseTopic);
  await client.publishAsync(topic, JSON.stringify(command), { qos: 1, properties: { responseTopic, correlationData } });
  const { said, packet } = await answer;
  assert.equal(packet.retain, false);
  assert.equal(packet.qos, 1);
  assert.deepEqual(packet.properties?.correlationData, correlationData);
  if (said.error) throw new Error(said.error.message);
  return said.result ?? said;
}

/** As the JavaScript library pumps: it takes the first Done for its own. */
async function pump(client, volume) {
  const from = performance.now();
  await client.subscribeAsync("status/pump");
  const done = next(client, "status/pump", ({ status }) => status === "Done");
  const started = next(client, "status/pump", ({ status }) => status === "Started");
  const command = { action: "move", direction: "FORWARD", volume, flowrate: 3 };
  await client.publishAsync("actuator/pump", JSON.stringify(command));
  const { duration } = (await started).said;
  await done;
  await client.unsubscribeAsync("status/pump");
  return { took: (performance.now() - from) / 1e3, duration };
}

async function talk(url) {
  const client = await mqtt.connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0 });
  assert.deepEqual(await request(client, "actuator/pump", { action: "get-configuration" }), { pump_steps_per_ml: 3220 });
  const correlation = Buffer.from("abc");
  const set = { action: "set-configuration", pump_steps_per_ml: 3300 };
  assert.deepEqual(await request(client, "actuator/pump", set, correlation), {});
  await assert.rejects(request(client, "actuator/pump", { action: "nonsense" }), /action: expected one of move, stop/);
  await assert.rejects(request(client, "light", { action: "on", value: 2 }), /value: expected a number from 0/);
  for (let n = 0; n < 3; n += 1) {
    const { took, duration } = await pump(client, 0.003);
    assert.ok(took > 0.8 * duration, `an old Done ended the wait: ${took} s of ${duration} s`);
  }
  await client.endAsync();

  const old = await mqtt.connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0 });
  await old.subscribeAsync("status/light");
  const on = next(old, "status/light", ({ status }) => status === "On");
  await old.publishAsync("light", JSON.stringify({ action: "on" }));
  assert.deepEqual((await on).said, { status: "On", value: 1 });
  await old.endAsync();
}

const data = mkdtempSync(join(tmpdir(), "planktor-"));
const [tcp, websockets] = [await freePort(), await freePort()];
const program = spawn(
  process.argv[2],
  ["run", "--twin", "--listen", `127.0.0.1:${tcp}`, "--websockets", `127.0.0.1:${websockets}`, "--data", data, "--http", "off"],
  { stdio: ["ignore", "ignore", "pipe"] },
);
const limit = setTimeout(() => {
  console.error(`no end within ${LIMIT_MS / 1e3} s`);
  program.kill("SIGKILL");
  process.exit(1);
}, LIMIT_MS);
try {
  await new Promise((resolve) => {
    program.stderr.on("data", (text) => String(text).includes("connected") && resolve());
  });
  await talk(`ws://127.0.0.1:${websockets}/`);
  console.log("mqtt.js over websockets: MQTT 5 with responses, and MQTT 3.1.1: as JavaScript clients expect");
} finally {
  // It keeps the lamp's hours at its end: the folder is needed until then.
  const ended = new Promise((resolve) => program.once("exit", resolve));
  program.kill("SIGTERM");
  assert.equal(await ended, 0);
  clearTimeout(limit);
  rmSync(data, { recursive: true, force: true });
}
