/** Every wait of a dial is bounded by its time, those for modules that it loads only then too. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { startMachine } from "../../lib/testing/mod.ts";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";

const TIMEOUT_MS = 1_000;

const RELAY = "the closing of a way to a TURN server";

const ways: readonly (readonly [title: string, options: object])[] = [
  ["WebRTC", {}],
  ["direct", { disableWebrtc: true }],
  ["direct, native gRPC", { disableWebrtc: true, protocol: "grpc", session: true }],
];
for (const [title, options] of [...ways, [RELAY, {}] as const]) {
  test(
    `every wait is bounded although every thread of the runtime's pool hangs: ${title}`,
    async () => {
      await using machine = await startMachine({ auth: "none" });
      const folder = await mkdtemp(join(tmpdir(), "viam-dial-"));
      try {
        const given = JSON.stringify({ insecure: true, timeoutMs: TIMEOUT_MS, ...options });
        await using child = startProgram("tests/dial/programs/busy_pool.ts", {
          args: [title === RELAY ? "" : machine.address, folder, given],
        });
        const [tookMs = "", outcome = ""] = (await child.line()).split(" ");
        // What is loaded already, or not from disk, needs no thread.
        assert.match(outcome, /^(?:webrtc|direct|ERR_DIAL_TIMEOUT|closed)$/);
        assert.ok(Number(tookMs) < TIMEOUT_MS + 1_000, `${outcome} after ${tookMs} ms`);
        const { code, stderr } = await child.exit;
        assert.equal(code, 0, stderr);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    { timeoutMs: 60_000, ...(process.platform === "win32" ? { skip: "needs mkfifo" } : {}) },
  );
}
