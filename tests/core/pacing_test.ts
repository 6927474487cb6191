import assert from "node:assert/strict";
import { Pacing } from "../../lib/core/channel/pacing.ts";
import { test } from "../harness.ts";

const PACKET_BYTES = 1_064, OVERHEAD_BYTES = 26, PATH_MS = 100;

/** Hands over all that may be handed over in each millisecond. Returns bytes and packets of each. */
function run(milliseconds: number, windowBytes: number, stepMs = 1) {
  const pacing = new Pacing(0, PATH_MS);
  const bytes: number[] = [], packets: number[] = [];
  for (let now = 0; now < milliseconds; now += stepMs) {
    let sum = 0, count = 0;
    while (pacing.hasRoom(now, windowBytes)) {
      const frame = pacing.frameBytes(windowBytes / 4) + OVERHEAD_BYTES;
      pacing.wrote(frame, now);
      sum += frame;
      count += Math.ceil(frame / PACKET_BYTES);
    }
    assert.ok(pacing.retryMs(now)! >= 1);
    bytes.push(sum);
    packets.push(count);
  }
  return { bytes, packets, total: bytes.reduce((sum, one) => sum + one, 0) };
}

test("Pacing.isFor: round trips that timers are fine enough for", () => {
  assert.deepEqual([0, 1, 19.9, 20, 300].map(Pacing.isFor), [false, false, false, true, true]);
}, { pure: true });

test("Pacing: ten packets at once, then pairs that are spread over each round trip", () => {
  const { packets } = run(3 * PATH_MS, 800_000);
  assert.deepEqual([packets[0], packets.slice(1, 80).every((count) => count === 0)], [10, true]);
  const later = packets.slice(PATH_MS);
  assert.ok(Math.max(...later) <= 2, later.join());
  const gaps = later.join("").split(/[^0]+/).map((gap) => gap.length);
  assert.ok(Math.max(...gaps) <= 15, gaps.join());
}, { pure: true });

test("Pacing: half as much again in each round trip, up to a window", () => {
  const round = (number: number) =>
    run((number + 1) * PATH_MS, 200_000).total - run(number * PATH_MS, 200_000).total;
  for (const number of [3, 5, 6]) {
    const growth = round(number) / round(number - 1);
    assert.ok(growth > 1.2 && growth < 1.9, `round ${number} has ${growth} times the one before`);
  }
  assert.ok(Math.abs(round(20) / 200_000 - 1) < 0.05, `${round(20)} bytes`);
}, { pure: true });

test("Pacing: a late look makes up for no more than 10 ms", () => {
  const late = run(2_050, 200_000, 50);
  assert.ok(Math.max(...late.bytes) <= 20_000 + 2 * PACKET_BYTES + 8_000, late.bytes.join());
}, { pure: true });

test("Pacing.frameBytes: as many as leave an even number of packets, whatever else was handed over", () => {
  const pacing = new Pacing(0, PATH_MS);
  let packets = 0;
  for (let now = 0; now < 1_500; now++) {
    const others = now % 3 === 0 ? [30] : now % 7 === 0 ? [700, 1_500] : [];
    for (const frame of others) {
      pacing.wrote(frame, now);
      packets += Math.ceil(frame / PACKET_BYTES);
    }
    if (now === 1_000) pacing.begin(now);
    if (!pacing.hasRoom(now, 800_000)) continue;
    const frame = pacing.frameBytes(60_000) + OVERHEAD_BYTES;
    assert.ok(frame <= 65_535, `${frame} bytes`);
    pacing.wrote(frame, now);
    packets += Math.ceil(frame / PACKET_BYTES);
    assert.equal(packets % 2, 0, `${now} ms`);
  }
}, { pure: true });

test("Pacing.hasPaused: once, when a timer is late by most of a round trip", () => {
  const pacing = new Pacing(0, PATH_MS);
  const lateBy = (lateMs: number, now: number) => {
    assert.equal(pacing.hasRoom(now, 200_000), false);
    return pacing.hasPaused(now + pacing.retryMs(now)! + lateMs);
  };
  pacing.wrote(30_000, 0);
  assert.deepEqual([0, 59, 61].map((lateMs) => lateBy(lateMs, 50)), [false, false, true]);
  assert.equal(pacing.hasPaused(1_000), false);
}, { pure: true });

test("Pacing.spread: begins anew with pairs instead of ten packets", () => {
  const pacing = new Pacing(0, PATH_MS);
  pacing.spread(0);
  let total = 0;
  for (let now = 0; now < PATH_MS; now++) {
    let packets = 0;
    while (pacing.hasRoom(now, 200_000)) {
      const frame = pacing.frameBytes(50_000) + OVERHEAD_BYTES;
      pacing.wrote(frame, now);
      packets += Math.ceil(frame / PACKET_BYTES);
    }
    assert.ok(packets <= 2, `${packets} packets`);
    total += packets;
  }
  assert.ok(total >= 10 && total <= 16, `${total} packets in a round trip`);
}, { pure: true });
