import assert from "node:assert/strict";
import { startMachine } from "../../lib/testing/mod.ts";
import { test } from "../harness.ts";
import { runProgram } from "./child.ts";

test("dial() refuses WebRTC in workers with a reason, works in the main thread before and after, and directly in both", async () => {
  await using machine = await startMachine({ auth: "none" });
  const threads = ["worker", "main", "worker", "main"];
  const { code, signal, stdout } = await runProgram("tests/process/programs/dial_in_threads.ts", {
    args: [machine.address, ...threads],
  });
  assert.deepEqual([code, signal], [0, null]);
  const outcomes = stdout.trim().split("\n").map((line) => JSON.parse(line));
  for (const [index, thread] of threads.entries()) {
    if (thread === "main") {
      assert.equal(outcomes[index], "webrtc");
    } else {
      const [webrtc, direct] = outcomes[index];
      assert.match(
        webrtc,
        /in phase "engine": WebRTC works in the main thread alone.*\. Dial in the main thread/,
      );
      assert.equal(direct, "direct");
    }
  }
});
