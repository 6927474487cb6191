import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { startMachine } from "../../lib/testing/mod.ts";
import { dial, dialDirect } from "../../mod.ts";
import { test } from "../harness.ts";
import { startGoMachine } from "../interop/go_machine.ts";
import { missing } from "../interop/requirements.ts";
import { startProgram } from "../process/child.ts";
import { type ReportResponse, WheelService } from "./proto/gen/viam_dial/test/v1/wheel_pb.ts";
import { createWheels } from "./wheel.ts";

const PROGRAM = "tests/session/programs/turn.ts";

/** The window of a machine that is configured to no other, and what may pass until a wheel stands. */
const WINDOW_MS = 2_000, MOST_MS = WINDOW_MS + 1_000;

const PATHS = ["webrtc", "direct"] as const;

const MACHINES = [
  {
    machine: "the embedded machine",
    start: () => startMachine({ auth: "none", routes: createWheels().routes }),
    skip: undefined,
  },
  { machine: "the Go machine", start: () => startGoMachine(), skip: missing("go") },
] as const;

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Asks what has become of the wheels. */
async function openReports(address: string): Promise<{ ask(): Promise<ReportResponse> } & AsyncDisposable> {
  const channel = await dialDirect(address, { insecure: true });
  const wheels = createClient(WheelService, channel);
  return { ask: () => wheels.report({}), [Symbol.asyncDispose]: () => channel.close() };
}

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

for (const { machine, start, skip } of MACHINES) {
  const options = { timeoutMs: 180_000, skip };

  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    test(`a wheel of ${machine} stops within the window after ${signal} of its program`, async () => {
      await using running = await start();
      await using reports = await openReports(running.address);
      await using children = new AsyncDisposableStack();
      const programs = PATHS.map((path) =>
        children.use(startProgram(PROGRAM, { args: [running.address, path, path, "waits"] }))
      );
      for (const program of programs) assert.equal(await program.line(), "turning");
      // Longer than the window: it is heartbeats that keep the wheels turning.
      await pause(WINDOW_MS + 500);
      assert.deepEqual((await reports.ask()).turning.toSorted(), PATHS.toSorted());
      using delays = watchDelays();
      for (const program of programs) program.kill(signal);
      const gone = performance.now();
      while ((await reports.ask()).turning.length > 0) await pause(20);
      const tookMs = performance.now() - gone;
      assert.ok(tookMs < MOST_MS + delays.longestMs, `${tookMs} ms`);
    }, options);
  }

  for (const path of PATHS) {
    test(
      `a wheel of ${machine} goes on while its program computes for 1.2 s at a time, over ${path}`,
      async () => {
        for (;;) {
          using delays = watchDelays();
          await using running = await start();
          await using reports = await openReports(running.address);
          await using child = startProgram(PROGRAM, { args: [running.address, path, "left", "computes"] });
          assert.equal(await child.line(), "turning");
          const longestMs = Number(await child.line());
          // On a computer that has no time for either of the two, this says nothing.
          if (longestMs > 1_400 || delays.longestMs > 200) continue;
          const { turning, handled } = await reports.ask();
          assert.deepEqual([turning, handled], [["left"], ["Turn"]]);
          return;
        }
      },
      options,
    );
  }
}

for (const path of PATHS) {
  test(
    `a wheel stops while its program hangs, and the next call begins another session, over ${path}`,
    async () => {
      await using machine = await startGoMachine();
      await using reports = await openReports(machine.address);
      const webrtc = path === "webrtc";
      await using channel = await dial(machine.address, {
        insecure: true,
        disableWebrtc: !webrtc,
        session: true,
      });
      assert.equal(channel.kind, path);
      const wheels = createClient(WheelService, channel);
      const turns = [{ name: "left", turns: 1 }, { name: "left", turns: 2 }];
      async function* requests() {
        yield* turns;
      }
      const calls: Record<string, () => Promise<unknown>> = {
        Turn: () => wheels.turn(turns[0]!),
        TurnOften: () => Array.fromAsync(wheels.turnOften(turns[1]!)),
        TurnTogether: () => wheels.turnTogether(requests()),
        TurnAlong: () => Array.fromAsync(wheels.turnAlong(requests())),
      };
      for (const call of Object.values(calls)) await call();
      for (const call of Object.values(calls).slice(2)) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WINDOW_MS + 500);
        // Sent before the event loop has turned: the client does not know yet that its session has expired.
        await call();
      }
      const { turning, handled, sessionIds } = await reports.ask();
      assert.deepEqual(turning, ["left"]);
      assert.deepEqual(handled, [...Object.keys(calls), "TurnTogether", "TurnAlong"]);
      assert.equal(new Set(sessionIds.slice(0, 4)).size, 1);
      assert.equal(new Set(sessionIds).size, 3);
    },
    { skip: missing("go") },
  );
}

test("no heartbeat keeps a process alive that is otherwise done", async () => {
  await using machine = await startMachine({ auth: "none", routes: createWheels().routes });
  await using child = startProgram(PROGRAM, { args: [machine.address, "direct", "left", "returns"] });
  assert.equal(await child.line(), "turning");
  assert.equal((await child.exit).code, 0);
});
