import assert from "node:assert/strict";
import { deadline, DialOptionsError } from "../../mod.ts";
import { test } from "../harness.ts";

test("deadline() returns the time left", () => {
  const soon = deadline(Date.now() + 60_000).timeoutMs;
  assert.ok(soon > 50_000 && soon <= 60_000, `${soon}`);
  const date = deadline(new Date(Date.now() + 60_000)).timeoutMs;
  assert.ok(date > 50_000 && date <= 60_000, `${date}`);
}, { pure: true });

test("deadline() in the past returns the shortest timeout", () => {
  for (const { timeoutMs } of [deadline(0), deadline(new Date(0), 0), deadline(-Infinity)]) {
    assert.ok(timeoutMs > 0 && timeoutMs < 1, `${timeoutMs}`);
  }
}, { pure: true });

test("deadline() takes the earlier of deadline and timeout", () => {
  assert.deepEqual(deadline(Date.now() + 60_000, 10), { timeoutMs: 10 });
  assert.ok(deadline(Date.now() + 60_000, 120_000).timeoutMs <= 60_000);
  assert.ok(deadline(Date.now() + 60_000, 0).timeoutMs <= 60_000);
}, { pure: true });

test("deadline() of the far future fits into a timer", () => {
  assert.deepEqual(deadline(Infinity), { timeoutMs: 2_147_483_000 });
}, { pure: true });

for (const wrong of [NaN, new Date(NaN), "tomorrow", undefined]) {
  test(`deadline() refuses ${String(wrong)}`, () => {
    assert.throws(() => deadline(wrong as number), DialOptionsError);
  }, { pure: true });
}

test("deadline() refuses a negative timeout", () => {
  assert.throws(() => deadline(Date.now(), -1), /timeoutMs must be milliseconds ≥ 0 \(got -1\)/);
}, { pure: true });
