import assert from "node:assert/strict";
import { DeliveryWindow } from "../../lib/core/channel/delivery_window.ts";
import { test } from "../harness.ts";

const MAX_FRAME_BYTES = 65_509;
const QUESTION_BYTES = 64;
const PACKET_BYTES = 1_200;

interface Path {
  /** Bytes a millisecond. */
  readonly rate: (now: number) => number;
  /** There and back, in milliseconds. */
  readonly delay: (now: number) => number;
  /** Share of packets that have to be sent again. */
  readonly loss?: number;
  /** The longest queue in front of the rate, in milliseconds; what finds it full is sent again. */
  readonly queueMs?: number;
  /** True while a TCP flow shares the path. */
  readonly shared?: (now: number) => boolean;
  /** True while the peer is too busy to answer. */
  readonly busy?: (now: number) => boolean;
  readonly answers?: boolean;
  readonly isLocal?: boolean;
}

interface Result {
  /** Share of the rate that was used, from `from` on. */
  readonly share: number;
  readonly medianMs: number;
  readonly longestMs: number;
  readonly questions: number;
  readonly questionShare: number;
  readonly most: number;
  readonly bytes: number;
}

/**
 * Sends as much as the window lets over a path, in steps of a millisecond, and every 100 ms a small call, which the
 * window does not hold back. Everything arrives in order.
 */
function simulate(path: Path, seconds: number, from = 1_000): Result {
  const window = new DeliveryWindow(MAX_FRAME_BYTES);
  let seed = 1;
  const random = () => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) / 0x7fffffff;
  const queue: { left: number; question?: number; madeAt?: number; retried?: boolean }[] = [];
  const events = new Map<number, (() => void)[]>();
  const at = (when: number, run: () => void) => {
    const slot = Math.ceil(when);
    events.set(slot, [...events.get(slot) ?? [], run]);
  };
  const calls: number[] = [];
  let bytes = 0, capacity = 0, questions = 0, handed = 0, most = 0, arrives = 0, queued = 0;
  let flow = 0, flowQueued = 0;
  const push = (item: (typeof queue)[number]) => {
    queued += item.left;
    queue.push(item);
  };
  for (let now = 0; now < seconds * 1_000; now++) {
    const delay = path.delay(now), rate = path.rate(now);
    for (const run of events.get(now) ?? []) run();
    events.delete(now);
    for (;;) {
      if (window.isBeginning(now)) window.begin(delay, now, path.isLocal === true);
      if (window.wantsQuestion) {
        window.asked(++questions, now);
        window.wrote(QUESTION_BYTES, now);
        push({ left: QUESTION_BYTES, question: questions });
      }
      if (!window.hasRoom(now)) break;
      const frame = window.frameBytes;
      window.wrote(frame, now);
      handed += frame;
      push({ left: frame });
    }
    most = Math.max(most, queued);
    if (now % 100 === 0) push({ left: 200, madeAt: now });
    // The flow keeps adding to the queue until it is full, and then halves.
    if (path.shared?.(now) === true) {
      if (flowQueued + queued > rate * (path.queueMs ?? 400)) flow /= 2;
      else flow = Math.min(rate, flow + rate / 2_000);
      flowQueued += flow;
    } else flow = 0;
    const own = flowQueued === 0 ? rate : rate * queued / (queued + flowQueued);
    flowQueued = Math.max(0, flowQueued - (rate - own));
    let left = own;
    while (left > 0 && queue.length > 0) {
      const item = queue[0]!;
      const taken = Math.min(left, item.left);
      left -= taken;
      item.left -= taken;
      queued -= taken;
      bytes += now >= from && item.question === undefined && item.madeAt === undefined ? taken : 0;
      if (item.left > 0) break;
      queue.shift();
      const isLost = random() < (path.loss ?? 0) * Math.ceil(window.frameBytes / PACKET_BYTES);
      arrives = Math.max(arrives, now + delay / 2 + (isLost ? delay : 0));
      const { question, madeAt } = item;
      let answered = arrives;
      while (path.busy?.(answered) === true) answered++;
      const back = answered + delay / 2;
      if (question !== undefined && path.answers !== false) at(back, () => window.answered(question, back));
      if (madeAt !== undefined && now >= from) at(back, () => calls.push(back - madeAt));
    }
    if (now >= from) capacity += own;
  }
  calls.sort((one, other) => one - other);
  return {
    share: bytes / capacity,
    medianMs: calls[calls.length >> 1]!,
    longestMs: calls.at(-1)!,
    questions,
    questionShare: questions * QUESTION_BYTES / handed,
    most,
    bytes,
  };
}

const megabits = (rate: number) => () => rate * 125;
const always = (value: number) => () => value;
const switching = (one: number, other: number, everyMs: number) => (now: number) =>
  (Math.floor(now / everyMs) % 2 === 0 ? one : other) * 125;

const paths: readonly [title: string, path: Path, least: number, medianMs: number, longestMs: number][] = [
  ["1 Mbit/s, 50 ms", { rate: megabits(1), delay: always(50) }, 0.95, 300, 600],
  ["10 Mbit/s, 50 ms", { rate: megabits(10), delay: always(50) }, 0.95, 90, 120],
  ["100 Mbit/s, 20 ms", { rate: megabits(100), delay: always(20) }, 0.95, 80, 200],
  ["50 Mbit/s, 100 ms", { rate: megabits(50), delay: always(100) }, 0.8, 200, 500],
  ["10 Mbit/s, 100 ms, 1 % loss", { rate: megabits(10), delay: always(100), loss: 0.01 }, 0.5, 300, 1_000],
  [
    "1 Mbit/s that becomes 10 and 1 again",
    { rate: switching(1, 10, 5_000), delay: always(50) },
    0.9,
    120,
    900,
  ],
  ["10 Mbit/s that halve and double", { rate: switching(10, 5, 2_000), delay: always(50) }, 0.9, 120, 400],
  [
    "10 Mbit/s whose delay moves between 50 and 150 ms",
    { rate: megabits(10), delay: (now) => now % 10_000 < 5_000 ? 50 : 150 },
    0.75,
    220,
    500,
  ],
  [
    "10 Mbit/s to a peer that is busy for 100 ms of each 300",
    { rate: megabits(10), delay: always(50), busy: (now) => now % 300 < 100 },
    0.75,
    100,
    150,
  ],
  ["400 Mbit/s, no delay", { rate: megabits(400), delay: always(1) }, 0.95, 8, 15],
  ["400 Mbit/s in one computer", { rate: megabits(400), delay: always(1), isLocal: true }, 0.95, 20, 30],
  [
    "400 Mbit/s that become 1",
    { rate: (now) => now < 5_000 ? 50_000 : 125, delay: always(1) },
    0.95,
    300,
    2_500,
  ],
];

for (const [title, path, least, medianMs, longestMs] of paths) {
  test(`DeliveryWindow uses a path of ${title}, and small calls do not wait long`, () => {
    const result = simulate(path, 20);
    const told = JSON.stringify(result);
    assert.ok(result.share >= least, told);
    assert.ok(result.medianMs <= medianMs && result.longestMs <= longestMs, told);
    assert.ok(result.questionShare <= 0.0105, told);
  }, { pure: true });
}

test(
  "DeliveryWindow keeps a share of a path beside a TCP flow that fills its queue, and has all of it afterwards",
  () => {
    const path = { rate: megabits(10), delay: always(50), queueMs: 200 };
    const beside = simulate({ ...path, shared: () => true }, 20);
    assert.ok(beside.bytes > 500_000, JSON.stringify(beside));
    const after = simulate({ ...path, shared: (now) => now < 10_000 }, 20, 12_000);
    assert.ok(after.share > 0.95 && after.medianMs <= 120, JSON.stringify(after));
  },
  { pure: true },
);

test(
  "DeliveryWindow sends 5 Mbit/s to a peer that answers nothing, after 5 s, and asks it no more than 32 times",
  () => {
    const { bytes, questions } = simulate({ rate: megabits(100), delay: always(50), answers: false }, 15, 0);
    assert.ok(bytes > 5_500_000 && bytes < 7_000_000, `${bytes} bytes`);
    assert.ok(questions <= 32, `${questions} questions`);
  },
  { pure: true },
);

test("DeliveryWindow never lets more than its largest window on the way", () => {
  const { most } = simulate({ rate: megabits(2_000), delay: always(300) }, 10);
  assert.ok(most <= 3_670_016 + MAX_FRAME_BYTES, `${most} bytes`);
}, { pure: true });

/**
 * Sends to a machine that acknowledges each second packet at once and a single one after 200 ms, by an engine whose own
 * window falls to one packet when nothing has been acknowledged for 200 ms, or a round trip and its deviation. Returns
 * bytes delivered, how often that happened, and the most packets that waited in the engine after 3 s.
 */
function sendToPion(seconds: number): { bytes: number; falls: number; most: number } {
  const chunk = 1_064, pathMs = 100;
  const window = new DeliveryWindow(MAX_FRAME_BYTES);
  /** The question that each packet ends with, if any. */
  const queue: (number | undefined)[] = [];
  const flight: { readonly sentAt: number; acknowledgedAt: number }[] = [];
  let single: (typeof flight)[number] | undefined;
  let most = 10,
    threshold = Infinity,
    questions = 0,
    frames = 0,
    bytes = 0,
    falls = 0,
    timer = 0,
    waiting = 0;
  const push = (size: number, question?: number) => {
    const packets = Math.ceil(size / chunk);
    for (let packet = 1; packet <= packets; packet++) queue.push(packet === packets ? question : undefined);
  };
  const answers = new Map<number, number[]>();
  const transmit = (now: number) => {
    most = Math.min(most, flight.length + 10);
    while (queue.length > 0 && flight.length < most) {
      const question = queue.shift();
      const packet = { sentAt: now, acknowledgedAt: now + pathMs + 200 };
      if (single !== undefined && single.sentAt + 200 > now) {
        single.acknowledgedAt = packet.acknowledgedAt = now + pathMs;
        single = undefined;
      } else single = packet;
      flight.push(packet);
      if (question !== undefined) answers.set(now + pathMs, [...answers.get(now + pathMs) ?? [], question]);
    }
  };
  for (let now = 0; now < seconds * 1_000; now++) {
    for (const question of answers.get(now) ?? []) window.answered(question, now);
    while (flight.length > 0 && flight[0]!.acknowledgedAt <= now) {
      flight.shift();
      timer = now;
      bytes += chunk;
      if (flight.length + 2 >= most) most += most < threshold ? 0.5 : 0.5 / most;
      transmit(now);
    }
    if (flight.length === 0) timer = now;
    // Half of the first round trip counts as its deviation, which then becomes less with each.
    else if (now - timer >= Math.max(200, pathMs + 2 * pathMs * 0.75 ** (now / pathMs))) {
      timer = now;
      falls++;
      threshold = Math.max(4, most / 2);
      most = 1;
    }
    for (;;) {
      if (window.isBeginning(now)) window.begin(pathMs, now, false);
      if (window.handed === 0) {
        // The headers of the call.
        window.wrote(50, now);
        push(50);
      }
      if (window.wantsQuestion) {
        window.asked(++questions, now);
        window.wrote(50, now);
        window.wrote(20, now);
        push(50);
        push(20, questions);
      }
      if (!window.hasRoom(now)) break;
      // The last frame of a message is as long as what is left of it.
      const size = ++frames % 8 === 0 ? 700 : window.frameBytes;
      window.wrote(size, now);
      push(size);
    }
    transmit(now);
    if (now > 3_000) waiting = Math.max(waiting, queue.length);
  }
  return { bytes, falls, most: waiting };
}

test(
  "DeliveryWindow keeps the engine's own window growing where single packets are acknowledged late",
  () => {
    const { bytes, falls, most } = sendToPion(8);
    assert.ok(bytes > 45_000_000 && falls === 0, `${bytes} bytes, ${falls} falls`);
    assert.ok(most < 400, `${most} packets waited`);
  },
  { pure: true },
);

/**
 * Sends for 20 s over a free path of 100 ms by an engine that loses one packet in a hundred, which halves its own window
 * and holds up all that follows for a round trip. Returns the share of acknowledgements that found it with room for more
 * packets, and the median time of questions, in milliseconds.
 */
function sendWithLoss(): { starved: number; medianMs: number } {
  const chunk = 1_064, pathMs = 100;
  const window = new DeliveryWindow(MAX_FRAME_BYTES);
  const queue: (number | undefined)[] = [];
  /** When each packet on its way is acknowledged. */
  const flight: number[] = [];
  const answers = new Map<number, number[]>();
  const asked = new Map<number, number>();
  const waits: number[] = [];
  let seed = 1, most = 10, held = 0, questions = 0, acknowledged = 0, starved = 0;
  const random = () => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) / 0x7fffffff;
  const push = (bytes: number, question?: number) => {
    window.wrote(bytes, now);
    for (let left = bytes; left > 0; left -= chunk) queue.push(left > chunk ? undefined : question);
  };
  const transmit = () => {
    while (queue.length > 0 && flight.length < Math.floor(most)) {
      const question = queue.shift();
      flight.push(now + pathMs);
      if (random() < 0.01) {
        most = Math.max(4, most / 2);
        held = now + 2 * pathMs;
      }
      const at = Math.max(now + pathMs, held);
      if (question !== undefined) answers.set(at, [...answers.get(at) ?? [], question]);
    }
  };
  let now = 0;
  for (; now < 20_000; now++) {
    for (const question of answers.get(now) ?? []) {
      waits.push(now - asked.get(question)!);
      window.answered(question, now, () => pathMs);
    }
    while (flight.length > 0 && flight[0]! <= now) {
      acknowledged++;
      // Its window grows only while it is full.
      if (flight.length >= Math.floor(most)) most += 1 / most;
      else starved++;
      flight.shift();
      transmit();
    }
    for (;;) {
      if (window.isBeginning(now)) window.begin(pathMs, now, false);
      if (window.wantsQuestion) {
        asked.set(++questions, now);
        window.asked(questions, now);
        push(70, questions);
      }
      if (!window.hasRoom(now)) break;
      push(window.frameBytes);
    }
    transmit();
  }
  waits.sort((one, other) => one - other);
  return { starved: starved / acknowledged, medianMs: waits[waits.length >> 1]! };
}

test(
  "DeliveryWindow keeps an engine busy whose own window lost packets keep small, and questions do not wait long",
  () => {
    const { starved, medianMs } = sendWithLoss();
    assert.ok(starved < 0.02 && medianMs <= 300, `${starved}, ${medianMs} ms`);
  },
  { pure: true },
);

test("DeliveryWindow stays ahead of an engine whose own window grows by half in each round trip", () => {
  const window = new DeliveryWindow(MAX_FRAME_BYTES);
  const marks: number[] = [];
  const sent: number[] = [0];
  let answered = 0;
  // The engine sends as much of its window in each step as it gets acknowledged, a round trip of 20 steps later.
  for (let step = 0, congestion = 12_000; congestion < 700_000; step++) {
    const now = 5 * step;
    const delivered = sent[step - 20] ?? 0;
    while (answered < marks.length && marks[answered]! <= delivered) window.answered(++answered, now);
    while (window.hasRoom(now)) {
      if (window.wantsQuestion) window.asked(marks.push(window.handed), now);
      window.wrote(window.frameBytes, now);
    }
    if (step % 20 === 0 && step > 0) congestion *= 1.5;
    const next = sent.at(-1)! + congestion / 20;
    assert.ok(window.handed >= next, `only ${window.handed - sent.at(-1)!} bytes to send at ${congestion}`);
    sent.push(next);
  }
}, { pure: true });

test(
  "DeliveryWindow hands over half as much while a question waits for too long, and forgets the rate before",
  () => {
    const window = new DeliveryWindow(MAX_FRAME_BYTES);
    let question = 0;
    const fill = (now: number) => {
      let bytes = 0;
      while (window.hasRoom(now)) {
        if (window.wantsQuestion) window.asked(++question, now);
        bytes += window.frameBytes;
        window.wrote(window.frameBytes, now);
      }
      return bytes;
    };
    let now = 0, answered = 0;
    // 100 kB in each round trip of 50 ms, until the window holds what it has.
    for (let round = 0; round < 40; round++) {
      fill(now);
      now += 50;
      while (answered < question) window.answered(++answered, now);
    }
    const before = window.estimate;
    fill(now);
    now += 300;
    assert.equal(fill(now), 0);
    window.answered(++answered, now);
    const after = window.estimate;
    assert.ok(after.windowBytes <= before.windowBytes / 2 + 1, JSON.stringify({ before, after }));
    assert.ok(after.bytesPerSecond! < before.bytesPerSecond! / 2, JSON.stringify({ before, after }));
  },
  { pure: true },
);

test("DeliveryWindow stays large enough to ask when late answers come after those to later calls", () => {
  const window = new DeliveryWindow(MAX_FRAME_BYTES);
  window.begin(100, 0, false);
  let question = 0, answered = 0, now = 0;
  const round = (roundTripMs: number, isLate: boolean) => {
    const end = now + roundTripMs;
    for (; now < end; now++) {
      while (window.hasRoom(now)) {
        if (window.wantsQuestion) window.asked(++question, now);
        window.wrote(window.frameBytes, now);
      }
    }
    if (isLate) window.delivered(window.handed, now - 10);
    while (answered < question) window.answered(++answered, now, () => 100);
  };
  round(100, false);
  for (let count = 0; count < 20; count++) round(390, false); // as where packets get lost
  const asked = question;
  for (let count = 0; count < 20; count++) {
    round(900, true);
    assert.ok(window.estimate.windowBytes >= 18_432, `${window.estimate.windowBytes} bytes`);
  }
  assert.ok(question >= asked + 20, `${question - asked} questions`);
}, { pure: true });

test("DeliveryWindow lets as much go at once after a pause as at the beginning", () => {
  const window = new DeliveryWindow(MAX_FRAME_BYTES);
  const fill = (now: number) => {
    let bytes = 0;
    for (;;) {
      if (window.isBeginning(now)) window.begin(100, now, false);
      if (!window.hasRoom(now)) return bytes;
      bytes += window.frameBytes;
      window.wrote(window.frameBytes, now);
    }
  };
  const first = fill(0);
  window.delivered(window.handed, 100);
  assert.deepEqual([first > 10_000 && first < 13_000, fill(30_000)], [true, first]);
}, { pure: true });

test(
  "DeliveryWindow.wantsQuestion: at most four a window, and none while answers to calls show delivery",
  () => {
    const window = new DeliveryWindow(MAX_FRAME_BYTES);
    let asked = 0;
    while (window.hasRoom(0)) {
      if (window.wantsQuestion) window.asked(++asked, 0);
      window.wrote(1_000, 0);
    }
    assert.ok(asked >= 3 && asked <= 5, `${asked} questions`);
    const quiet = new DeliveryWindow(MAX_FRAME_BYTES);
    for (let call = 0; call < 1_000; call++) {
      const mark = quiet.handed;
      quiet.wrote(500, call);
      assert.equal(quiet.wantsQuestion, false);
      assert.ok(quiet.hasRoom(call));
      quiet.delivered(mark, call + 1);
    }
  },
  { pure: true },
);

test(
  "DeliveryWindow.estimate: what is known after some answers, and nothing of a path that was idle for 10 s",
  () => {
    const window = new DeliveryWindow(MAX_FRAME_BYTES);
    assert.deepEqual(window.estimate, {
      windowBytes: 32_768,
      bytesPerSecond: undefined,
      roundTripMs: undefined,
      queueMs: undefined,
    });
    window.wrote(10_000, 0);
    window.asked(1, 0);
    assert.equal(window.answered(2, 100), false);
    assert.equal(window.answered(1, 100), true);
    assert.equal(window.answered(1, 101), false);
    const { bytesPerSecond, roundTripMs } = window.estimate;
    assert.deepEqual({ bytesPerSecond, roundTripMs }, { bytesPerSecond: 100_000, roundTripMs: 100 });
    assert.equal(window.isBeginning(20_000), true);
    assert.equal(window.estimate.roundTripMs, undefined);
  },
  { pure: true },
);
