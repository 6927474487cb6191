/** The modules that a process that dials has loaded. */

import assert from "node:assert/strict";
import process from "node:process";
import { startMachine } from "../../lib/testing/mod.ts";
import { test } from "../harness.ts";
import { startProgram } from "./child.ts";

test("no native module is loaded until a dial goes over WebRTC", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using child = startProgram("tests/process/programs/dial_and_count.ts", { args: [machine.address] });
  const { code, stdout, stderr } = await child.exit;
  assert.equal(code, 0, stderr);
  const [start, direct, webrtc] = stdout.trim().split("\n").map(Number);
  assert.deepEqual([start, direct], [0, 0]);
  assert.ok(webrtc! > 0);
}, { timeoutMs: 60_000, skip: process.platform === "linux" ? undefined : "no /proc" });
