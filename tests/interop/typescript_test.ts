import assert from "node:assert/strict";
import { startMachine } from "../../lib/testing/mod.ts";
import { test } from "../harness.ts";
import { runProgram } from "../process/child.ts";

test(
  "protocol §10, 15: the official TypeScript SDK dials the machine over WebRTC, and calls it",
  async () => {
    await using machine = await startMachine();
    const { code, stdout, stderr } = await runProgram("tests/interop/typescript/dial.ts", {
      args: [machine.address, machine.apiKey, machine.apiKeyId],
    });
    assert.equal(code, 0, stderr);
    const { names, platform } = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    assert.deepEqual(names, ["thermometer", "wheel"]);
    assert.equal(platform, "viam-dial");
    assert.ok(machine.callsTo("/viam.robot.v1.RobotService/ResourceNames").webrtc > 0);
  },
  { timeoutMs: 90_000 },
);
