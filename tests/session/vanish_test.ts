import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";
import { startWheelMachine } from "./wheel.ts";

const PROGRAM = "tests/session/programs/turn.ts";

/** The window of a machine that is configured to no other, and what may pass until the wheel stands. */
const WINDOW_MS = 2_000, MOST_MS = WINDOW_MS + 1_000;

/** Measures how long other programs keep this one from running. */
function watchDelays(): { readonly longestMs: number } & Disposable {
  let longestMs = 0, last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last - 20);
    last = now;
  }, 20);
  return {
    get longestMs() {
      return longestMs;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

for (const path of ["webrtc", "direct"]) {
  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    test(`a wheel stops within the window after ${signal} of the program that turned it, over ${path}`, async () => {
      await using wheel = await startWheelMachine();
      await using child = startProgram(PROGRAM, { args: [wheel.machine.address, path, "waits"] });
      assert.equal(await child.line(), "turning");
      // Longer than the window: it is heartbeats that keep the wheel turning.
      await new Promise((resolve) => setTimeout(resolve, WINDOW_MS + 500));
      assert.deepEqual([...wheel.turning], ["left"]);
      using delays = watchDelays();
      child.kill(signal);
      const gone = performance.now();
      await wheel.stopped("left");
      const tookMs = performance.now() - gone;
      assert.ok(tookMs < MOST_MS + delays.longestMs, `${tookMs} ms`);
    });
  }

  test(`a wheel goes on turning while its program computes for 1.2 s at a time, over ${path}`, async () => {
    for (;;) {
      using delays = watchDelays();
      await using wheel = await startWheelMachine();
      await using child = startProgram(PROGRAM, { args: [wheel.machine.address, path, "computes"] });
      assert.equal(await child.line(), "turning");
      const longestMs = Number(await child.line());
      // On a computer that has no time for either of the two, this says nothing.
      if (longestMs > 1_400 || delays.longestMs > 200) continue;
      assert.deepEqual(wheel.handled, ["Turn"]);
      assert.deepEqual([...wheel.turning], ["left"]);
      return;
    }
  }, { timeoutMs: 120_000 });
}

test("no heartbeat keeps a process alive that is otherwise done", async () => {
  await using wheel = await startWheelMachine();
  await using child = startProgram(PROGRAM, { args: [wheel.machine.address, "direct", "returns"] });
  assert.equal(await child.line(), "turning");
  assert.equal((await child.exit).code, 0);
  await wheel.stopped("left");
});
