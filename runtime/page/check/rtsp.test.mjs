// The RTSP stream, pushed to a real RTSP listener: ffmpeg's own.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { freePort, program } from "./program.mjs";

const PATIENCE_MS = 60_000;

/** Listens until it has so many frames; resolves with what it saw of them. */
function listen(url, frames) {
  const taker = spawn("ffprobe", [
    "-v", "error", "-rtsp_flags", "listen", "-show_entries", "stream=codec_name,profile,width,height:frame=key_frame,pict_type",
    "-read_intervals", `%+#${frames}`, "-of", "json", url,
  ], { stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  taker.stdout.on("data", (text) => { out += text; });
  taker.stderr.on("data", (text) => { err += text; });
  const timer = setTimeout(() => taker.kill("SIGKILL"), PATIENCE_MS);
  return new Promise((done, failed) => taker.on("exit", () => {
    clearTimeout(timer);
    try { done(JSON.parse(out)); } catch { failed(new Error(`no stream: ${out}${err}`)); }
  }));
}

test("the picture is pushed as H.264 baseline, and again when the server comes back", async () => {
  const url = `rtsp://127.0.0.1:${await freePort()}/cam`;
  const twin = await program({ options: ["--rtsp-push", url] });
  try {
    for (let n = 0; n < 2; n += 1) {
      const { streams: [stream], frames } = await listen(url, 45);
      assert.deepEqual([stream.codec_name, stream.width, stream.height], ["h264", 1014, 760]);
      assert.match(stream.profile, /Baseline/);
      const keys = frames.map(({ key_frame }) => key_frame);
      assert.equal(keys[0], 1);
      assert.equal(keys.lastIndexOf(1), 30, "a key frame every 30 frames");
      assert.ok(frames.every(({ pict_type }) => pict_type !== "B"));
    }
  } finally {
    await twin.end();
  }
});
