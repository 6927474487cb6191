import assert from "node:assert/strict";
import { Lanes, LANES_LOOK_MS, type LanesAction, type LanesSighting } from "../../lib/core/channel/lanes.ts";
import { test } from "../harness.ts";

const BULK = "/camera/GetImages", SMALL = "/motor/Stop";

/** A channel as the rule sees it. */
interface Scene {
  /** Bytes that arrive on the main connection each look. */
  readonly arriving: number;
  readonly roundTripMs?: number;
  readonly isTrusted?: boolean;
  /** The wait of a question until its answer. */
  readonly waitMs: number;
  /** Open calls of the connection of bulk data, and bytes that arrive there each look. */
  readonly bulk?: { readonly calls: number; readonly arriving?: number; readonly isTrusted?: boolean };
}

type Entry = [now: number, action: LanesAction];

/** Looks as a driver does, from `fromMs` on. Returns what was done, and when. */
function watch(lanes: Lanes, scene: Scene, fromMs: number, untilMs: number): Entry[] {
  const { arriving, roundTripMs = 20, isTrusted = true, waitMs, bulk } = scene;
  const log: Entry[] = [];
  let received = 0, bulkReceived = 0, answerAt = Infinity;
  for (let now = fromMs; now <= untilMs; now += LANES_LOOK_MS) {
    if (now >= answerAt) {
      lanes.answered();
      answerAt = Infinity;
    }
    const sighting: LanesSighting = {
      main: { received, roundTripMs, isTrusted },
      bulk: bulk === undefined ? undefined : { isTrusted: true, ...bulk, received: bulkReceived },
    };
    const action = lanes.look(now, sighting);
    if (action !== "nothing") log.push([now, action]);
    if (action === "ask") answerAt = now + waitMs;
    received += arriving;
    bulkReceived += bulk?.arriving ?? 0;
    lanes.received(BULK, bulk === undefined ? arriving : bulk.arriving ?? 0);
    lanes.received(SMALL, 100);
  }
  return log;
}

/** Bytes that arrive each look at 1 Mbit/s. */
const MBIT = 31_250;

const stories: readonly [title: string, Scene, (lanes: Lanes, log: Entry[]) => void][] = [
  ["asks nothing where little arrives", { arriving: 3_000, waitMs: Infinity }, (_, log) => {
    assert.deepEqual(log, []);
  }],
  ["asks once a second while bulk data arrives, and leaves it at that where answers come", {
    arriving: MBIT,
    waitMs: 250,
  }, (lanes, log) => {
    assert.deepEqual(log.slice(0, 3), [[250, "ask"], [1_250, "ask"], [2_250, "ask"]]);
    assert.ok(log.every(([, action]) => action === "ask"));
    assert.equal(lanes.isBulk(BULK), false);
  }],
  ["bears a wait of up to half a second", { arriving: MBIT, waitMs: 500 }, (_, log) => {
    assert.ok(log.every(([, action]) => action === "ask"));
  }],
  ["opens another connection once, when a question has waited for longer", {
    arriving: MBIT,
    waitMs: 8_000,
  }, (lanes, log) => {
    assert.deepEqual(log.slice(0, 2), [[250, "ask"], [1_000, "open"]]);
    assert.equal(log.filter(([, action]) => action === "open").length, 1);
    assert.deepEqual([lanes.isBulk(BULK), lanes.isBulk(SMALL)], [true, false]);
  }],
  ["takes the path's own round trip for no wait", {
    arriving: MBIT,
    waitMs: 1_400,
    roundTripMs: 1_000,
  }, (_, log) => {
    assert.ok(log.every(([, action]) => action === "ask"));
  }],
  ["opens none while the machine is suspected to be gone", {
    arriving: MBIT,
    waitMs: 8_000,
    isTrusted: false,
  }, (_, log) => {
    assert.ok(log.every(([, action]) => action === "ask"));
  }],
];
for (const [title, scene, check] of stories) {
  test(`Lanes ${title}`, () => {
    const lanes = new Lanes();
    check(lanes, watch(lanes, scene, 0, 5_000));
  }, { pure: true });
}

test("Lanes takes silence after the bulk data for no wait", () => {
  const lanes = new Lanes();
  watch(lanes, { arriving: MBIT, waitMs: Infinity }, 0, 500);
  assert.deepEqual(watch(lanes, { arriving: 0, waitMs: Infinity }, 500, 10_000), []);
}, { pure: true });

test("Lanes tries again a minute after an attempt that failed", () => {
  const lanes = new Lanes();
  const full: Scene = { arriving: MBIT, waitMs: 8_000 };
  const opens = (log: Entry[]) => log.filter(([, action]) => action === "open").map(([now]) => now);
  assert.deepEqual(opens(watch(lanes, full, 0, 1_500)), [1_000]);
  lanes.failed(1_500);
  const [again] = opens(watch(lanes, full, 1_500, 80_000));
  assert.ok(again !== undefined && again >= 61_500 && again < 63_000, `${again}`);
}, { pure: true });

/** Lanes of a channel that has been divided. */
function divided(): Lanes {
  const lanes = new Lanes();
  watch(lanes, { arriving: MBIT, waitMs: 8_000 }, 0, 2_000);
  lanes.changed();
  return lanes;
}

test("Lanes closes the connection of bulk data after 30 s without calls there", () => {
  const lanes = divided();
  const busy = watch(
    lanes,
    { arriving: 100, waitMs: 100, bulk: { calls: 1, arriving: MBIT } },
    2_000,
    60_000,
  );
  assert.deepEqual(busy, []);
  const idle = watch(lanes, { arriving: 100, waitMs: 100, bulk: { calls: 0 } }, 60_250, 91_000);
  assert.deepEqual(idle[0], [90_000, "close"]);
}, { pure: true });

test("Lanes lets the connections change roles where the main one is full and the other has no calls", () => {
  const full: Scene = { arriving: MBIT, waitMs: 8_000 };
  const actions = (scene: Scene) => watch(divided(), scene, 2_000, 5_000).map(([, action]) => action);
  assert.ok(actions({ ...full, bulk: { calls: 0 } }).includes("swap"));
  assert.ok(!actions({ ...full, bulk: { calls: 1 } }).includes("swap"));
  assert.ok(!actions({ ...full, bulk: { calls: 0, isTrusted: false } }).includes("swap"));
}, { pure: true });

test("Lanes remembers a method by its share of all bytes", () => {
  const lanes = divided();
  for (let now = 2_000; now < 20_000; now += LANES_LOOK_MS) {
    // A fifth of the bytes, and one large answer each two seconds, whose frames arrive meanwhile.
    lanes.received("/camera/Preview", MBIT / 5);
    if (now % 2_000 === 0) lanes.received("/cloud/GetPoints", 8 * MBIT);
    const received = (now - 2_000) / LANES_LOOK_MS * MBIT;
    lanes.look(now, {
      main: { received: received / 5, roundTripMs: 20, isTrusted: true },
      bulk: { received, calls: 1, isTrusted: true },
    });
  }
  const found = ["/camera/Preview", "/cloud/GetPoints", SMALL].filter((path) => lanes.isBulk(path));
  assert.deepEqual(found, ["/cloud/GetPoints"]);
}, { pure: true });
