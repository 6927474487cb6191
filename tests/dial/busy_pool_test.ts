/** Every wait of a dial is bounded by its time, and named, those for modules that it loads only then too. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { startMachine } from "../../lib/testing/mod.ts";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";

const TIMEOUT_MS = 1_000;

/** Time that a busy computer may take to notice that the dial's has passed. A wait without a bound never ends. */
const LATE_MS = 4_000;

/** What is loaded already, or not from disk, needs no thread. */
const ways: readonly (readonly [title: string, options: object, outcome: RegExp, address?: string])[] = [
  ["WebRTC", {}, /^(?:webrtc|ERR_DIAL_TIMEOUT:(?!options)\w+)$/],
  [
    "direct, and on the local network",
    { disableWebrtc: true },
    /^ERR_DIAL(?:_TIMEOUT)?:connect$/,
    "machine.invalid",
  ],
  [
    "direct, native gRPC",
    { disableWebrtc: true, protocol: "grpc", session: true },
    /^(?:direct|ERR_DIAL_TIMEOUT:\w+)$/,
  ],
  ["the closing of a way to a TURN server", {}, /^closed$/, ""],
];
for (const [title, options, wanted, address] of ways) {
  test(
    `every wait is bounded although every thread of the runtime's pool hangs: ${title}`,
    async () => {
      await using machine = await startMachine({ auth: "none" });
      const folder = await mkdtemp(join(tmpdir(), "viam-dial-"));
      try {
        const given = JSON.stringify({ insecure: true, timeoutMs: TIMEOUT_MS, ...options });
        await using child = startProgram("tests/dial/programs/busy_pool.ts", {
          args: [address ?? machine.address, folder, given],
        });
        const [tookMs = "", outcome = ""] = (await child.line()).split(" ");
        assert.match(outcome, wanted);
        assert.ok(Number(tookMs) < TIMEOUT_MS + LATE_MS, `${outcome} after ${tookMs} ms`);
        const { code, stderr } = await child.exit;
        assert.equal(code, 0, stderr);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    { timeoutMs: 60_000, ...(process.platform === "win32" ? { skip: "needs mkfifo" } : {}) },
  );
}
