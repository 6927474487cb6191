import assert from "node:assert/strict";
import {
  type BulkMemory,
  BulkSeparation,
  newBulkMemory,
  SEPARATION_LOOK_MS,
  type SeparationAction,
  type SeparationSighting,
} from "../../lib/core/channel/bulk_separation.ts";
import { test } from "../harness.ts";

const BULK = "/camera/GetImages", SMALL = "/motor/Stop";

/** A channel as the rule sees it. */
interface Scene {
  /** Bytes a second that arrive on the main connection, in frames of `frameBytes`. */
  readonly arriving: number;
  readonly frameBytes?: number;
  readonly roundTripMs?: number;
  readonly isTrusted?: boolean;
  readonly isSteered?: boolean;
  /** The wait of a question until its answer. */
  readonly waitMs: number;
  /** Open calls of the connection of bulk data, and bytes a second that arrive there. */
  readonly bulk?: { readonly calls: number; readonly arriving?: number; readonly isTrusted?: boolean };
}

type Entry = [now: number, action: SeparationAction | "hold" | "release"];

/** The rule for a machine that has answered a question before, unless the memory says otherwise. */
function separate(memory: BulkMemory = { ...newBulkMemory(), answers: true }): BulkSeparation {
  return new BulkSeparation(memory);
}

/** Looks as a driver does, from `fromMs` on. Returns what was done, and when. */
function watch(separation: BulkSeparation, scene: Scene, fromMs: number, untilMs: number): Entry[] {
  const {
    arriving,
    frameBytes = 65_000,
    roundTripMs = 50,
    isTrusted = true,
    isSteered = false,
    waitMs,
    bulk,
  } = scene;
  const log: Entry[] = [];
  const whole = (bytesPerSecond: number, now: number) =>
    Math.floor(bytesPerSecond * (now - fromMs) / 1_000 / frameBytes) * frameBytes;
  let answerAt = Infinity, held = separation.holds, counted = 0;
  for (let now = fromMs; now <= untilMs; now += SEPARATION_LOOK_MS) {
    if (now >= answerAt) {
      separation.answered();
      answerAt = Infinity;
    }
    const received = whole(arriving, now), bulkReceived = whole(bulk?.arriving ?? 0, now);
    if (received + bulkReceived > counted) separation.received(BULK, received + bulkReceived - counted);
    counted = received + bulkReceived;
    const sighting: SeparationSighting = {
      main: { received, roundTripMs, isTrusted, isSteered },
      bulk: bulk === undefined ? undefined : { isTrusted: true, ...bulk, received: bulkReceived },
    };
    const action = separation.look(now, sighting);
    if (action !== "nothing") log.push([now, action]);
    if (separation.holds !== held) {
      held = !held;
      log.push([now, held ? "hold" : "release"]);
    }
    if (action === "ask") answerAt = now + waitMs;
    separation.received(SMALL, 10);
  }
  return log;
}

const actions = (log: readonly Entry[]) => log.map(([, action]) => action);
const firstOf = (log: readonly Entry[], action: Entry[1]) => log.find((entry) => entry[1] === action)?.[0];

const MBIT = 125_000;

const stories: readonly [title: string, Scene, (separation: BulkSeparation, log: Entry[]) => void][] = [
  [
    "asks nothing where little arrives",
    { arriving: 12_000, frameBytes: 1_000, waitMs: Infinity },
    (_, log) => {
      assert.deepEqual(log, []);
    },
  ],
  [
    "asks twice a second while bulk data arrives, more often at first, and leaves it at that where answers come",
    {
      arriving: 10 * MBIT,
      waitMs: 60,
    },
    (separation, log) => {
      assert.deepEqual(log.slice(0, 2), [[100, "ask"], [200, "ask"]]);
      assert.deepEqual(log.filter(([now]) => now > 3_000 && now < 4_000), [[3_500, "ask"]]);
      assert.deepEqual(new Set(actions(log)), new Set(["ask"]));
      assert.equal(separation.isBulk(BULK), false);
    },
  ],
  [
    "holds calls when a question is late, and opens another connection once, when most of a frame came before its answer",
    {
      arriving: MBIT,
      waitMs: 8_000,
    },
    (separation, log) => {
      assert.deepEqual(log, [[550, "ask"], [700, "hold"], [1_050, "open"]]);
      assert.deepEqual([separation.isBulk(BULK), separation.isBulk(SMALL)], [true, false]);
    },
  ],
  ["lets calls go with the answer to a late question", { arriving: 2 * MBIT, waitMs: 200 }, (_, log) => {
    assert.deepEqual(log.slice(0, 4), [[300, "ask"], [450, "hold"], [500, "ask"], [500, "release"]]);
    assert.ok(!actions(log).includes("open"));
  }],
  ["holds no calls where so much arrives that another connection would come later", {
    arriving: 100 * MBIT,
    waitMs: 250,
  }, (_, log) => {
    assert.deepEqual(new Set(actions(log)), new Set(["ask"]));
  }],
  [
    "takes the path's own round trip for no wait",
    { arriving: MBIT, waitMs: 1_200, roundTripMs: 1_000 },
    (_, log) => {
      assert.deepEqual(new Set(actions(log)), new Set(["ask"]));
    },
  ],
  ["leaves a machine alone that limits what it queues, up to half a second", {
    arriving: MBIT,
    waitMs: 550,
    isSteered: true,
  }, (_, log) => {
    assert.deepEqual(new Set(actions(log)), new Set(["ask"]));
  }],
  ["opens none, and holds nothing, while the machine is suspected to be gone", {
    arriving: MBIT,
    waitMs: 8_000,
    isTrusted: false,
  }, (_, log) => {
    assert.deepEqual(actions(log), ["ask"]);
  }],
];
for (const [title, scene, check] of stories) {
  test(`BulkSeparation ${title}`, () => {
    const separation = separate();
    check(separation, watch(separation, scene, 0, 5_000));
  }, { pure: true });
}

test(
  "BulkSeparation asks a machine at once, once, and takes one that answers nothing for no full one",
  () => {
    const memory = newBulkMemory();
    const separation = separate(memory);
    assert.deepEqual(watch(separation, { arriving: MBIT, waitMs: Infinity }, 0, 60_000), [[0, "ask"]]);
    assert.equal(separation.isBulk(BULK), false);
    separation.answered();
    assert.equal(memory.answers, true);
    assert.deepEqual(watch(separate(memory), { arriving: 0, waitMs: 0 }, 0, 60_000), []);
  },
  { pure: true },
);

test("BulkSeparation asks when an answer begins, and holds calls before a frame of it is whole", () => {
  for (const isSingle of [false, true]) {
    const separation = separate();
    assert.equal(separation.called(BULK), false);
    // The message of most single answers follows at once.
    assert.equal(separation.began(BULK, isSingle), !isSingle);
    const log = watch(separation, { arriving: MBIT, waitMs: 8_000 }, 0, 6_000);
    assert.deepEqual(log, [[0, "ask"], [150, "hold"], [550, "open"], [5_200, "release"]]);
    assert.equal(separation.isBulk(BULK), true);
  }
}, { pure: true });

test("BulkSeparation lets calls go when a sender that has begun slowly is fast", () => {
  const separation = separate();
  const main = { received: 0, roundTripMs: 20, isTrusted: true, isSteered: false };
  separation.look(0, { main, bulk: undefined });
  separation.began(BULK, false);
  assert.equal(separation.look(0, { main, bulk: undefined }), "ask");
  const held = ([[50, 17_000], [100, 65_000], [150, 550_000]] as const).map(([now, received]) => {
    separation.look(now, { main: { ...main, received }, bulk: undefined });
    return separation.holds;
  });
  assert.deepEqual(held, [false, true, false]);
}, { pure: true });

test(
  "BulkSeparation asks nothing after a single answer that is over, and holds nothing for long without bulk data",
  () => {
    const separation = separate();
    separation.began(SMALL, true);
    separation.ended(SMALL);
    assert.deepEqual(watch(separation, { arriving: 0, waitMs: 0 }, 0, 1_000), []);
    separation.began(BULK, false);
    // The machine's reader waits for something else.
    const log = watch(separation, { arriving: 0, waitMs: Infinity }, 1_050, 60_000);
    assert.deepEqual(log, [[1_050, "ask"], [1_200, "hold"], [4_250, "release"]]);
  },
  { pure: true },
);

test("BulkSeparation knows the method of a large answer before it is whole", () => {
  const separation = separate();
  separation.began("/cloud/GetPoints", true);
  watch(separation, { arriving: MBIT, waitMs: 8_000 }, 0, 2_000);
  assert.equal(separation.isBulk("/cloud/GetPoints"), true);
}, { pure: true });

test("BulkSeparation opens another connection at once for a call of a method that it knows", () => {
  const memory = { answers: true, methods: new Set([BULK]), fullAt: -200_000 };
  const separation = separate(memory);
  assert.equal(separation.called(SMALL), false);
  assert.equal(separation.called(BULK), true);
  assert.deepEqual(watch(separation, { arriving: 0, waitMs: 0 }, 0, 1_000), [[0, "open"]]);
  // Not for long: the path may be another.
  const later = separate({ ...memory, fullAt: -400_000 });
  assert.equal(later.called(BULK), true);
  assert.deepEqual(watch(later, { arriving: 0, waitMs: 0 }, 0, 1_000), []);
}, { pure: true });

test("BulkSeparation holds calls no longer than twice the wait of a question while an attempt lasts", () => {
  const log = watch(separate(), { arriving: 8 * MBIT, waitMs: 800 }, 0, 10_000);
  const held = firstOf(log, "hold")!, released = firstOf(log, "release")!;
  assert.ok(released - held > 1_500 && released - held < 1_700, `${held} to ${released}`);
  assert.equal(actions(log).filter((action) => action === "hold").length, 1);
}, { pure: true });

test(
  "BulkSeparation opens another connection for a question that waits for a second after the last bulk data",
  () => {
    const separation = separate();
    watch(separation, { arriving: 8 * MBIT, waitMs: Infinity }, 0, 200);
    const pause: Scene = { arriving: 0, waitMs: Infinity };
    assert.deepEqual(watch(separation, pause, 250, 10_000), [[250, "hold"], [1_200, "open"], [
      5_300,
      "release",
    ]]);
    // Long after it, the question waits for another reason.
    const later = separate();
    watch(later, { arriving: 8 * MBIT, waitMs: 60 }, 0, 2_000);
    watch(later, { arriving: 0, waitMs: 60 }, 2_050, 13_000);
    later.began(BULK, false);
    assert.ok(!actions(watch(later, pause, 13_050, 20_000)).includes("open"));
  },
  { pure: true },
);

test("BulkSeparation tries again a minute after an attempt that failed, and holds nothing until then", () => {
  const separation = separate();
  const full: Scene = { arriving: MBIT, waitMs: 8_000 };
  watch(separation, full, 0, 1_500);
  assert.equal(separation.holds, true);
  separation.failed(1_500);
  const log = watch(separation, full, 1_500, 80_000).filter(([, action]) => action !== "ask");
  const [again, held] = [firstOf(log, "open")!, firstOf(log, "hold")!];
  assert.ok(again >= 61_500 && again < 70_500 && held >= 61_500, JSON.stringify(log));
}, { pure: true });

/** The rule for a channel that has been divided. */
function divided(): BulkSeparation {
  const separation = separate();
  watch(separation, { arriving: MBIT, waitMs: 8_000 }, 0, 2_000);
  separation.changed();
  return separation;
}

test("BulkSeparation closes the connection of bulk data after 30 s without calls there", () => {
  const separation = divided();
  const little = { arriving: 400, frameBytes: 100, waitMs: 100 };
  const busy = watch(separation, { ...little, bulk: { calls: 1, arriving: MBIT } }, 2_000, 60_000);
  assert.deepEqual(busy, []);
  const idle = watch(separation, { ...little, bulk: { calls: 0 } }, 60_050, 91_000);
  assert.deepEqual(idle[0], [90_000, "close"]);
}, { pure: true });

test(
  "BulkSeparation lets the connections change roles where the main one is full and the other has no calls",
  () => {
    const full: Scene = { arriving: MBIT, waitMs: 8_000 };
    const done = (scene: Scene) => actions(watch(divided(), scene, 2_000, 5_000));
    assert.ok(done({ ...full, bulk: { calls: 0 } }).includes("swap"));
    for (const bulk of [{ calls: 1 }, { calls: 0, isTrusted: false }]) {
      assert.deepEqual(done({ ...full, bulk }), ["ask"]);
    }
  },
  { pure: true },
);

test("BulkSeparation remembers a method by its share of all bytes", () => {
  const separation = divided();
  for (let now = 2_000; now < 20_000; now += SEPARATION_LOOK_MS) {
    const received = (now - 2_000) / 1_000 * MBIT;
    // A fifth of the bytes, and one large answer each two seconds, whose frames arrive meanwhile.
    separation.received("/camera/Preview", MBIT / 5 * SEPARATION_LOOK_MS / 1_000);
    if (now % 2_000 === 0) separation.received("/cloud/GetPoints", 2 * MBIT);
    separation.look(now, {
      main: { received: received / 5, roundTripMs: 20, isTrusted: true, isSteered: false },
      bulk: { received, calls: 1, isTrusted: true },
    });
  }
  const found = ["/camera/Preview", "/cloud/GetPoints", SMALL].filter((path) => separation.isBulk(path));
  assert.deepEqual(found, ["/cloud/GetPoints"]);
}, { pure: true });
