import assert from "node:assert/strict";
import { attemptPauseMs, backoffMs, tryPauseMs } from "../../lib/core/dial/backoff.ts";
import { test } from "../harness.ts";

const MOST = 1 - Number.EPSILON;

const delays: readonly [name: string, delay: (count: number, random: number) => number, [
  count: number,
  least: number,
  most: number,
][]][] = [
  ["backoffMs", backoffMs, [[1, 0, 0], [2, 0, 400], [3, 0, 800], [6, 0, 5_000], [1_000, 0, 5_000]]],
  ["attemptPauseMs", (count, random) => attemptPauseMs(count, false, random), [
    [1, 0, 0],
    [2, 1_000, 1_500],
    [3, 1_000, 1_500],
    [1e6, 1_000, 1_500],
  ]],
  [
    "attemptPauseMs, when the machine has closed its connections,",
    (count, random) => attemptPauseMs(count, true, random),
    [[1, 0, 300], [2, 1_000, 1_500]],
  ],
  ["tryPauseMs", tryPauseMs, [[1, 0, 200], [2, 0, 400], [3, 0, 800], [15, 0, 800], [16, 0, 1_500], [
    1e6,
    0,
    1_500,
  ]]],
];
for (const [name, delay, rows] of delays) {
  for (const [count, least, most] of rows) {
    test(`${name}() of ${count} is from ${least} to ${most} ms`, () => {
      assert.equal(delay(count, 0), least);
      assert.equal(Math.round(delay(count, MOST)), most);
      assert.equal(delay(count, 0.5), (least + most) / 2);
    }, { pure: true });
  }
}

test("three attempts of the default time outlast a minute", () => {
  const pauses = [1, 2, 3].reduce((sum, attempt) => sum + attemptPauseMs(attempt, false, 0), 0);
  assert.ok(3 * 20_000 + pauses >= 62_000);
}, { pure: true });
