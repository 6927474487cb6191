import assert from "node:assert/strict";
import {
  Liveness,
  type LivenessAction,
  LOOK_MS,
  type Sighting,
  silenceLimitMs,
} from "../../lib/core/channel/liveness.ts";
import { test } from "../harness.ts";

const limits: readonly [roundTripMs: number, jitterMs: number, limitMs: number][] = [
  [1, 0, 1_000],
  [200, 20, 1_000],
  [250, 100, 1_400],
  [499, 100, 2_000],
  [500, 0, 2_000],
  [2_000, 50, 8_200],
];
for (const [roundTripMs, jitterMs, limitMs] of limits) {
  test(`silenceLimitMs() of ${roundTripMs} ± ${jitterMs} ms is ${limitMs} ms`, () => {
    assert.equal(silenceLimitMs(roundTripMs, jitterMs), limitMs);
  }, { pure: true });
}

const quiet: Sighting = { calls: 1, sent: 0, waiting: 0, received: 0, roundTripMs: 1 };

type Entry = [now: number, action: LivenessAction];

interface Watch {
  readonly liveness?: Liveness;
  readonly untilMs: number;
  /** Called before each look; returns what there is to see. */
  readonly at?: (now: number, liveness: Liveness, log: readonly Entry[]) => Sighting;
  /** The time of the next look. */
  readonly next?: (now: number) => number;
}

/** Looks as often as a driver does. Returns each action and its time. */
function watch({ liveness = new Liveness(0, 1), untilMs, at = () => quiet, next }: Watch): Entry[] {
  const log: Entry[] = [];
  for (let now = LOOK_MS; now <= untilMs; now = next?.(now) ?? now + LOOK_MS) {
    const action = liveness.look(now, at(now, liveness, log));
    if (action !== "nothing") log.push([now, action]);
    if (action === "ask" || action === "doubt") liveness.asked(now);
    if (action === "lost") break;
  }
  return log;
}

test("Liveness asks after half a second of silence, suspects after one, and is certain 8 s later", () => {
  assert.deepEqual(watch({ untilMs: 20_000 }), [
    [500, "ask"],
    [1_000, "suspect"],
    [9_000, "lost"],
  ]);
}, { pure: true });

test("Liveness is certain within 4 s once another connection has taken over", () => {
  const log = watch({
    untilMs: 20_000,
    at(now, liveness) {
      if (now === 2_000) liveness.replace();
      return quiet;
    },
  });
  assert.deepEqual(log.at(-1), [5_900, "lost"]);
}, { pure: true });

test("Liveness takes any frame for a sign of life, and tells when that ends a suspicion", () => {
  const told: [number, boolean][] = [];
  const log = watch({
    untilMs: 3_000,
    at(now, liveness) {
      if (now === 400 || now === 1_800) told.push([now, liveness.heard()]);
      return quiet;
    },
  });
  assert.deepEqual(log, [[900, "ask"], [1_400, "suspect"], [2_300, "ask"], [2_800, "suspect"]]);
  assert.deepEqual(told, [[400, false], [1_800, true]]);
}, { pure: true });

test("Liveness never suspects a machine that computes for long and answers each question", () => {
  const log = watch({
    untilMs: 60_000,
    at(now, liveness, log) {
      if (log.at(-1)?.[0] === now - LOOK_MS) liveness.answered(now - 150);
      return quiet;
    },
  });
  assert.deepEqual(new Set(log.map(([, action]) => action)), new Set(["ask"]));
}, { pure: true });

test("Liveness waits longer on a path with a long round trip, whoever has measured it", () => {
  const atSuspicion = (log: Entry[]) => log.find(([, action]) => action === "suspect")![0];
  assert.equal(atSuspicion(watch({ untilMs: 20_000, liveness: new Liveness(0, 2_000) })), 8_000);
  const slow = { ...quiet, roundTripMs: 2_000 };
  assert.equal(atSuspicion(watch({ untilMs: 20_000, at: () => slow })), 8_000);
}, { pure: true });

test(
  "Liveness counts only time in which it looked, and doubts after a gap until a question is answered",
  () => {
    for (const isAnswered of [true, false]) {
      const signs: boolean[] = [];
      const log = watch({
        untilMs: 25_000,
        next: (now) => now === 400 ? 20_400 : now + LOOK_MS,
        at(now, liveness) {
          // What came before the gap says nothing.
          if (now === 20_600) signs.push(liveness.heard());
          if (isAnswered && now === 20_800) signs.push(liveness.answered(now));
          return quiet;
        },
      });
      assert.deepEqual(log.slice(0, 2), [
        [20_400, "doubt"],
        isAnswered ? [21_300, "ask"] : [20_900, "suspect"],
      ]);
      assert.deepEqual(signs, isAnswered ? [false, true] : [false]);
    }
  },
  { pure: true },
);

test("Liveness is not misled by a program that is busy", () => {
  // It looks each 1.5 s, and hears the answers in between.
  const log = watch({
    untilMs: 60_000,
    next: (now) => now + 1_500,
    at(now, liveness, log) {
      if (log.at(-1)?.[1] === "ask") liveness.answered(now);
      return quiet;
    },
  });
  assert.ok(log.length > 0 && log.every(([, action]) => action === "ask"), JSON.stringify(log));
}, { pure: true });

test("Liveness rests while there are no calls, and doubts an idle connection when it is told to", () => {
  const idle = { ...quiet, calls: 0 };
  assert.ok(watch({ untilMs: 5_000, at: () => idle }).every(([, action]) => action === "rest"));
  const liveness = new Liveness(0, 1);
  assert.equal(liveness.doubt(0, true), true);
  liveness.asked(0);
  assert.deepEqual(watch({ untilMs: 20_000, liveness, at: () => idle }), [
    [500, "suspect"],
    [8_500, "lost"],
  ]);
}, { pure: true });

test("Liveness rests again when an idle connection has answered", () => {
  const liveness = new Liveness(0, 1);
  liveness.doubt(0, true);
  liveness.asked(0);
  assert.equal(liveness.answered(30), false);
  assert.equal(liveness.look(LOOK_MS, { ...quiet, calls: 0 }), "rest");
}, { pure: true });

test("Liveness is not certain while the machine's engine answers, or acknowledges", () => {
  for (const acknowledges of [false, true]) {
    const log = watch({
      untilMs: 60_000,
      at(now, liveness) {
        if (now === 1_200) liveness.replace();
        if (now < 40_000 && !acknowledges) liveness.engineAnswered();
        return { ...quiet, roundTripMs: acknowledges && now < 40_000 ? 2 + now % 200 / 100 : 2 };
      },
    });
    const [lost, action] = log.at(-1)!;
    assert.equal(action, "lost");
    assert.ok(lost >= 43_600 && lost <= 44_000, `${lost}`);
  }
}, { pure: true });

test("Liveness pings the engine again 2 s after it has answered", () => {
  const log = watch({
    untilMs: 8_000,
    at(now, liveness, log) {
      const last = log.at(-1);
      if (last?.[0] === now - LOOK_MS && /suspect|ping/.test(last[1])) liveness.engineAnswered();
      return quiet;
    },
  });
  assert.deepEqual(log.map(([, action]) => action), ["ask", "suspect", "ping", "ping", "ping"]);
}, { pure: true });

test("Liveness counts a slow upload's progress as life, though nothing answers", () => {
  // One frame of 64 KiB in 1.6 s, with the buffer never empty.
  const upload = (now: number): Sighting => ({
    ...quiet,
    sent: Math.floor(now / 1_600) * 65_531,
    waiting: 131_062,
  });
  const log = watch({ untilMs: 120_000, at: upload });
  assert.deepEqual(log.filter(([now, action]) => now > 4_000 && action !== "ask"), []);
}, { pure: true });

test("Liveness tells when the progress of an upload ends a suspicion", () => {
  const log = watch({
    untilMs: 4_000,
    at: (now) => ({ ...quiet, sent: now < 3_000 ? 0 : now, waiting: 131_062 }),
  });
  assert.deepEqual(log, [[500, "ask"], [1_000, "suspect"], [3_000, "alive"]]);
}, { pure: true });

test("Liveness does not count bytes that went into an empty buffer as acknowledged", () => {
  const log = watch({ untilMs: 20_000, at: (now) => ({ ...quiet, sent: now }) });
  assert.deepEqual(log.at(-1), [9_000, "lost"]);
  const stuck = watch({ untilMs: 20_000, at: () => ({ ...quiet, sent: 262_144, waiting: 1_000_000 }) });
  assert.deepEqual(stuck.at(-1), [9_000, "lost"]);
}, { pure: true });

test(
  "Liveness gives an upload that the machine does not read 8 s, though another connection has taken over",
  () => {
    const log = watch({
      untilMs: 20_000,
      at(now, liveness) {
        if (now === 1_200) liveness.replace();
        return { ...quiet, sent: 262_144, waiting: 1_000_000 };
      },
    });
    assert.deepEqual(log.at(-1), [9_100, "lost"]);
  },
  { pure: true },
);

interface Download {
  /** Interval of its frames of 64 KiB. */
  readonly frameMs: number;
  /** The time of its last frame. */
  readonly untilMs?: number;
  /** The time until which the machine's engine acknowledges questions, 300 ms after each. */
  readonly acknowledgedUntilMs?: number;
}

/** A download whose frames show life, and whose answers are far behind them. */
function downloading({ frameMs, untilMs = Infinity, acknowledgedUntilMs = Infinity }: Download) {
  let frames = 0, roundTripMs = 1;
  return (now: number, liveness: Liveness, log: readonly Entry[]): Sighting => {
    const arrived = Math.floor(Math.min(now, untilMs) / frameMs);
    if (arrived > frames) liveness.heard();
    frames = arrived;
    if (now <= acknowledgedUntilMs && log.some(([at, action]) => at === now - 300 && action !== "rest")) {
      roundTripMs++;
    }
    return { ...quiet, received: frames * 65_531, roundTripMs };
  };
}

test("Liveness takes acknowledgements for life while the frames of a download are slow", () => {
  for (const frameMs of [1_050, 2_100, 4_200]) {
    const log = watch({ untilMs: 60_000, at: downloading({ frameMs }) }).filter(([now]) => now > frameMs);
    assert.ok(log.length > 0 && log.every(([, action]) => action === "ask"), JSON.stringify(log));
  }
}, { pure: true });

test("Liveness suspects a machine beside a download as soon as ever when nothing is acknowledged", () => {
  const at = downloading({ frameMs: 100, untilMs: 3_000, acknowledgedUntilMs: 3_000 });
  assert.deepEqual(watch({ untilMs: 4_000, at }), [
    ...[3_300, 3_400, 3_500, 3_600, 3_700, 3_800, 3_900].map((now): Entry => [now, "ask"]),
    [4_000, "suspect"],
  ]);
}, { pure: true });

test("Liveness takes acknowledgements for life for 10 s after a download, and never without one", () => {
  const log = watch({ untilMs: 20_000, at: downloading({ frameMs: 100, untilMs: 3_000 }) });
  const [suspected] = log.find(([, action]) => action === "suspect")!;
  assert.ok(suspected >= 13_000 && suspected <= 14_500, `${suspected}`);
  const moving = watch({ untilMs: 2_000, at: (now) => ({ ...quiet, roundTripMs: 1 + now % 200 / 100 }) });
  assert.deepEqual(moving, [[500, "ask"], [1_000, "suspect"]]);
}, { pure: true });

test("Liveness ends a doubt beside a download with an acknowledgement that is not from before", () => {
  const liveness = new Liveness(0, 1);
  const see = downloading({ frameMs: 500 });
  const log = watch({
    liveness,
    untilMs: 4_000,
    at(now, _, log) {
      if (now === 2_000) assert.equal(liveness.doubt(now), true);
      return see(now, liveness, now > 2_000 && now <= 2_300 ? [...log, [2_000, "doubt"]] : log);
    },
  });
  assert.deepEqual(log.find(([now, action]) => now > 2_000 && action !== "ask"), [2_300, "alive"]);
}, { pure: true });

test("Liveness does not take the time of an answer behind a download for the path's", () => {
  const liveness = new Liveness(0, 1);
  const see = downloading({ frameMs: 600, untilMs: 9_000, acknowledgedUntilMs: 9_000 });
  const log = watch({
    liveness,
    untilMs: 12_000,
    at(now, _, log) {
      if (now === 8_900) liveness.answered(now);
      return see(now, liveness, log);
    },
  });
  assert.deepEqual(log.find(([, action]) => action === "suspect"), [10_000, "suspect"]);
}, { pure: true });

test("Liveness takes a frame for life on a connection that was doubted and replaced", () => {
  const liveness = new Liveness(0, 1);
  const told: boolean[] = [];
  const log = watch({
    liveness,
    untilMs: 6_000,
    at(now) {
      if (now === 100) liveness.doubt(now);
      if (now === 1_500) liveness.replace();
      if (now === 2_000) told.push(liveness.heard());
      return quiet;
    },
  });
  assert.deepEqual(told, [true]);
  assert.ok(log.every(([, action]) => action !== "lost"));
}, { pure: true });
