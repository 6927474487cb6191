import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { startMachine } from "../../lib/testing/mod.ts";
import { dial, dialDirect } from "../../mod.ts";
import { startRelay } from "../calls/relay.ts";
import { watchDelays } from "../delays.ts";
import { test } from "../harness.ts";
import { startGoMachine } from "../interop/go_machine.ts";
import { missing } from "../interop/requirements.ts";
import { startProgram } from "../process/child.ts";
import { type ReportResponse, WheelService } from "./proto/gen/viam_dial/test/v1/wheel_pb.ts";
import { hang } from "./programs/hang.ts";
import { createWheels } from "./wheel.ts";

const PROGRAM = "tests/session/programs/turn.ts";

/** The window of a machine that is configured to no other, and what may pass until a wheel stands. */
const WINDOW_MS = 2_000, MOST_MS = WINDOW_MS + 1_000;

const PATHS = ["webrtc", "direct"] as const;

const MACHINES = [
  {
    machine: "the embedded machine",
    async start() {
      const machine = await startMachine({ auth: "none", routes: createWheels().routes });
      return Object.assign(machine, { drop: () => machine.dropConnections() });
    },
    skip: undefined,
  },
  { machine: "the Go machine", start: () => startGoMachine(), skip: missing("go") },
] as const;

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function* eachOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** Asks what has become of the wheels. */
async function openReports(address: string): Promise<{ ask(): Promise<ReportResponse> } & AsyncDisposable> {
  const channel = await dialDirect(address, { insecure: true });
  const wheels = createClient(WheelService, channel);
  return { ask: () => wheels.report({}), [Symbol.asyncDispose]: () => channel.close() };
}

for (const { machine, start, skip } of MACHINES) {
  test(
    `a wheel of ${machine} stops within the window after SIGKILL or SIGSTOP of its program or the loss of its ` +
      "network, and goes on while that computes for 1.2 s at a time",
    async () => {
      for (;;) {
        await using running = await start();
        await using reports = await openReports(running.address);
        await using network = await startRelay(Number(running.address.split(":").at(-1)));
        await using children = new AsyncDisposableStack();
        using startDelays = watchDelays();
        const turn = (wheel: string, path: string, afterwards: string, address = running.address) =>
          children.use(startProgram(PROGRAM, { args: [address, path, wheel, afterwards] }));
        const ending = (["SIGKILL", "SIGSTOP"] as const).flatMap((signal) =>
          PATHS.map((path) => {
            const wheel = `${signal} ${path}`;
            const program = turn(wheel, path, "waits");
            return { wheel, program, end: () => program.kill(signal) };
          })
        );
        // Over WebRTC the network lab does it.
        const program = turn("no network", "direct", "waits", network.address);
        ending.push({ wheel: "no network", program, end: () => network.lose() });
        const computing = PATHS.map((path) => turn(path, path, "computes"));
        for (const program of [...ending.map(({ program }) => program), ...computing]) {
          assert.equal(await program.line(), "turning");
        }
        // Longer than the window: it is heartbeats that keep the wheels turning.
        await pause(WINDOW_MS + 500);
        const { turning } = await reports.ask();
        const standing = ending.map(({ wheel }) => wheel).filter((wheel) => !turning.includes(wheel));
        // On a computer that has no time for heartbeats, nor for the relay here that passes some, this says nothing.
        if (standing.length > 0 && startDelays.longestMs > 200) continue;
        assert.deepEqual(standing, []);

        using delays = watchDelays();
        for (const { end } of ending) end();
        const gone = performance.now();
        const isEnding = (wheel: string) => ending.some((one) => one.wheel === wheel);
        while ((await reports.ask()).turning.some(isEnding)) await pause(20);
        const tookMs = performance.now() - gone;
        assert.ok(tookMs < MOST_MS + delays.longestMs, `${tookMs} ms`);

        const longest = await Promise.all(computing.map(async (program) => Number(await program.line())));
        // On a computer that has no time for either of the two, this says nothing.
        if (Math.max(...longest) > 1_400 || delays.longestMs > 200) continue;
        assert.deepEqual((await reports.ask()).turning.toSorted(), PATHS.toSorted());
        return;
      }
    },
    { timeoutMs: 180_000, skip },
  );

  test(`a session of ${machine} outlives reconnects that are each shorter than its window`, async () => {
    for (;;) {
      await using running = await start();
      await using channel = await dial(running.address, { insecure: true, session: true });
      assert.equal(channel.kind, "webrtc");
      const wheels = createClient(WheelService, channel);
      await wheels.turn({ name: "left" });
      let longestMs = 0;
      for (let outage = 1; outage <= 6; outage++) {
        const back = new Promise((resolve) => channel.addEventListener("connected", resolve, { once: true }));
        const lostAt = performance.now();
        running.drop();
        await back;
        await wheels.turn({ name: "left" });
        longestMs = Math.max(longestMs, performance.now() - lostAt);
      }
      // On a computer that has no time for them, these outages are no shorter.
      if (longestMs > WINDOW_MS - 500) continue;
      await using reports = await openReports(running.address);
      const { turning, handled, sessionIds } = await reports.ask();
      assert.deepEqual([turning, handled], [["left"], Array(7).fill("Turn")]);
      assert.equal(new Set(sessionIds).size, 1);
      return;
    }
  }, { timeoutMs: 180_000, skip });
}

test("a wheel stops while its program hangs, and the next call begins another session", async () => {
  await using machine = await startGoMachine();
  await using reports = await openReports(machine.address);
  await using channels = new AsyncDisposableStack();
  const programs: Record<string, () => Promise<unknown>>[] = [];
  for (const path of PATHS) {
    const disableWebrtc = path === "direct";
    const channel = channels.use(
      await dial(machine.address, { insecure: true, disableWebrtc, session: true }),
    );
    assert.equal(channel.kind, path);
    const wheels = createClient(WheelService, channel);
    const turns = [{ name: path, turns: 1 }, { name: path, turns: 2 }];
    programs.push({
      Turn: () => wheels.turn(turns[0]!),
      TurnOften: () => Array.fromAsync(wheels.turnOften(turns[1]!)),
      TurnTogether: () => wheels.turnTogether(eachOf(turns)),
      TurnAlong: () => Array.fromAsync(wheels.turnAlong(eachOf(turns))),
    });
  }
  const names = Object.keys(programs[0]!);
  const callAll = (name: string) => Promise.all(programs.map((calls) => calls[name]!()));
  for (const name of names) await callAll(name);
  for (const name of names.slice(2)) {
    hang(WINDOW_MS + 500);
    // Sent before the event loop has turned: the client does not know yet that its session has expired.
    await callAll(name);
  }
  const { turning, handled, sessionIds } = await reports.ask();
  assert.deepEqual(turning.toSorted(), PATHS.toSorted());
  const twice = [...names, "TurnTogether", "TurnAlong"].flatMap((name) => PATHS.map(() => name));
  assert.deepEqual(handled, twice);
  // Two sessions at first, and two new ones after each time.
  assert.deepEqual([8, 10, 12].map((calls) => new Set(sessionIds.slice(0, calls)).size), [2, 4, 6]);
}, { skip: missing("go") });

test("no heartbeat keeps a process alive that is otherwise done", async () => {
  await using machine = await startMachine({ auth: "none", routes: createWheels().routes });
  await using child = startProgram(PROGRAM, { args: [machine.address, "direct", "left", "returns"] });
  assert.equal(await child.line(), "turning");
  assert.equal((await child.exit).code, 0);
});
