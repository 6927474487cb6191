import assert from "node:assert/strict";
import { Liveness, LOOK_MS, type Sighting } from "../../lib/core/channel/liveness.ts";
import { test } from "../harness.ts";

const quiet: Sighting = { calls: 1, sent: 0, waiting: 0 };

/** Looks as often as a driver does; `at` changes the sighting. Returns each action and its time. */
function watch(
  untilMs: number,
  at: (now: number, liveness: Liveness) => Sighting,
): [now: number, todo: string][] {
  const liveness = new Liveness();
  const log: [number, string][] = [];
  liveness.alive(0);
  for (let now = LOOK_MS; now <= untilMs; now += LOOK_MS) {
    const todo = liveness.look(now, at(now, liveness));
    if (todo !== "nothing") log.push([now, todo]);
    if (todo === "lost") break;
  }
  return log;
}

test("Liveness asks after 5 s of silence, asks again, and gives up within 10 s", () => {
  assert.deepEqual(watch(20_000, () => quiet), [[5_000, "ask"], [7_000, "ask"], [9_000, "lost"]]);
}, { pure: true });

test("Liveness gives up within 10 s of the last sign of life, whenever it came", () => {
  for (let last = 0; last < 3_000; last += 100) {
    let told = false;
    const log = watch(20_000, (now, liveness) => {
      if (!told && now >= last) {
        told = true;
        liveness.alive(last);
      }
      return quiet;
    });
    const [lost] = log.at(-1)!;
    assert.ok(lost - last <= 10_000 && lost - last >= 9_000, `${lost - last} ms`);
  }
}, { pure: true });

test("Liveness accepts any answer as a sign of life", () => {
  const log = watch(12_000, (now, liveness) => {
    if (now === 6_000 || now === 11_500) liveness.alive(now);
    return quiet;
  });
  assert.deepEqual(log, [[5_000, "ask"], [11_000, "ask"]]);
}, { pure: true });

test("Liveness rests while there are no calls, and starts again with the next", () => {
  assert.deepEqual(watch(60_000, () => ({ ...quiet, calls: 0 })), []);
  const log = watch(40_000, (now) => ({ ...quiet, calls: now < 20_000 ? 0 : 1 }));
  assert.deepEqual(log.map(([now]) => now), [24_500, 26_500, 28_500]);
}, { pure: true });

test("Liveness counts a slow upload's progress as life, though nothing answers", () => {
  // One frame of 64 KiB in five seconds, with the buffer never empty.
  const upload = (now: number): Sighting => ({
    calls: 1,
    sent: Math.floor(now / 4_900) * 65_531,
    waiting: 131_062,
  });
  assert.deepEqual(watch(120_000, upload).filter(([, todo]) => todo === "lost"), []);
}, { pure: true });

test("Liveness does not count bytes that went into an empty buffer as acknowledged", () => {
  const log = watch(20_000, (now) => ({ calls: 1, sent: now, waiting: 0 }));
  assert.deepEqual(log.at(-1), [9_000, "lost"]);
  const stuck = watch(20_000, () => ({ calls: 1, sent: 262_144, waiting: 1_000_000 }));
  assert.deepEqual(stuck.at(-1), [9_000, "lost"]);
}, { pure: true });

test("Liveness gives up a stalled upload within 10 s", () => {
  for (let death = 2_000; death < 4_000; death += 100) {
    const log = watch(20_000, (now) => ({ calls: 1, sent: Math.min(now, death), waiting: 500_000 }));
    assert.ok(log.at(-1)![0] - death <= 10_000, `${log.at(-1)![0] - death} ms`);
  }
}, { pure: true });
