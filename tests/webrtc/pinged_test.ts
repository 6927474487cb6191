import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";

test(
  "Peer.ping() leaves the other side's process alive while it collects garbage, and free to end",
  async () => {
    await using child = startProgram("tests/webrtc/pinged_program.ts", {
      args: ["collecting garbage"],
      exposeGc: true,
    });
    assert.equal(await child.line(), "closed");
    const { code, signal, stderr } = await child.exit;
    assert.deepEqual([code, signal], [0, null], stderr);
  },
  { timeoutMs: 60_000 },
);

test(
  "Peer.close() leaves the process free to end after a ping whose end the engine never reports",
  async () => {
    await using child = startProgram("tests/webrtc/pinged_program.ts", { args: ["closed"], exposeGc: true });
    assert.equal(await child.line(), "closed");
    const { code, signal, stderr } = await child.exit;
    assert.deepEqual([code, signal], [0, null], stderr);
  },
  { timeoutMs: 60_000 },
);

test(
  "Peer.close() ends well when a ping was not taken before, and garbage has been collected since",
  async () => {
    await using child = startProgram("tests/webrtc/pinged_program.ts", { args: ["untaken"], exposeGc: true });
    assert.equal(await child.line(), "closed");
    const { code, signal, stderr } = await child.exit;
    assert.deepEqual([code, signal], [0, null], stderr);
  },
  { timeoutMs: 60_000 },
);
