import assert from "node:assert/strict";
import { startMachine } from "../../lib/testing/mod.ts";
import { DialOptions } from "../../mod.ts";
import { test } from "../harness.ts";
import { runProgram } from "./child.ts";

// What README promises; Bun, which has no permissions, runs the same programs.
const promises: readonly [kind: "direct" | "webrtc", permissions: readonly string[]][] = [
  ["direct", ["--allow-net"]],
  ["webrtc", ["--allow-net", "--allow-ffi", "--allow-read"]],
];

for (const [kind, permissions] of promises) {
  test(`${permissions.join(" ")} is enough for a dial that ends up ${kind}`, async () => {
    await using machine = await startMachine();
    const options: DialOptions = {
      ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
      insecure: true,
      disableWebrtc: kind === "direct",
    };
    const { code, stdout, stderr } = await runProgram("tests/process/programs/dial_and_call.ts", {
      permissions,
      args: [JSON.stringify({ address: machine.address, options })],
    });
    assert.equal(stderr, "");
    assert.deepEqual(JSON.parse(stdout), { message: "hello", kind });
    assert.equal(code, 0);
  });
}
