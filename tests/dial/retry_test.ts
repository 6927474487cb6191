/** The tries of an attempt to reconnect, with times of its own. */

import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { retry } from "../../lib/dial/retry.ts";
import { createBackground } from "../../lib/runtime/background.ts";
import { test } from "../harness.ts";

interface Started {
  readonly signal: AbortSignal;
  reach(): void;
  succeed(): void;
  fail(error: unknown): void;
}

const PASSES = new Error("passes");
const LASTS = new Error("lasts");

/** Tries whose course the test decides. */
function tries({ joinAfterMs = 60_000, pauseMs = 0 } = {}) {
  const started: Started[] = [];
  const pauses: number[] = [];
  const discarded: number[] = [];
  const stop = new AbortController();
  const background = createBackground();
  let wake = Promise.withResolvers<void>();
  const result = retry<number>({
    start(signal) {
      const number = started.length + 1;
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      const reached = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => reject(signal.reason));
      started.push({ signal, reach: reached.resolve, succeed: () => resolve(number), fail: reject });
      wake.resolve();
      wake = Promise.withResolvers();
      return { result: promise, reached: reached.promise };
    },
    mayPass: (error) => error === PASSES,
    pauseMs(failures) {
      pauses.push(failures);
      return pauseMs;
    },
    joinAfterMs,
    discard: (late) => Promise.resolve(void discarded.push(late)),
    background,
    signal: stop.signal,
  });
  result.catch(() => {});
  return {
    started,
    pauses,
    discarded,
    background,
    stop,
    result,
    /** The try of a number, once it is started. */
    async nth(number: number): Promise<Started> {
      while (started.length < number) await wake.promise;
      return started[number - 1]!;
    },
  };
}

test("retry() tries again after each failure that may pass, with a pause for each, until one succeeds", async () => {
  const { nth, pauses, result, started } = tries();
  for (let number = 1; number <= 5; number++) (await nth(number)).fail(PASSES);
  (await nth(6)).succeed();
  assert.equal(await result, 6);
  assert.deepEqual(pauses, [1, 2, 3, 4, 5]);
  assert.equal(started.length, 6);
});

test("retry() ends at once with a failure that is there to stay", async () => {
  const { nth, result, started } = tries();
  (await nth(1)).fail(PASSES);
  (await nth(2)).fail(LASTS);
  await assert.rejects(result, LASTS);
  assert.equal(started.length, 2);
});

test("retry() joins a try that reaches no server by others, keeps the oldest, and takes the first to succeed", async () => {
  const { nth, result, started } = tries({ joinAfterMs: 5 });
  const oldest = await nth(1);
  const newest = await nth(6);
  assert.equal(oldest.signal.aborted, false);
  assert.equal(started.filter(({ signal }) => !signal.aborted).length, 3);
  newest.succeed();
  assert.equal(await result, 6);
  assert.ok(started.every((one) => one === newest || one.signal.aborted));
});

test("retry() lets a try alone that has reached a server, and goes on when it fails", async () => {
  const { nth, result, started } = tries({ joinAfterMs: 20 });
  const first = await nth(1);
  first.reach();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(started.length, 1);
  first.fail(PASSES);
  (await nth(2)).succeed();
  assert.equal(await result, 2);
});

test("retry() frees what comes after another try has succeeded", async () => {
  const { nth, result, discarded } = tries({ joinAfterMs: 5 });
  const [one, two] = [await nth(1), await nth(2)];
  one.succeed();
  two.succeed();
  assert.equal(await result, 1);
  assert.deepEqual(discarded, [2]);
});

test("retry() ends with the signal, in a pause too, and says what the last try failed with", async () => {
  const reason = new DOMException("not connected after 5 ms", "TimeoutError");
  const paused = tries({ pauseMs: 60_000 });
  (await paused.nth(1)).fail(PASSES);
  await new Promise((resolve) => setTimeout(resolve));
  paused.stop.abort(reason);
  await assert.rejects(paused.result, (error) => {
    assert.ok(error instanceof ConnectError && error.code === Code.Unavailable && error.cause === PASSES);
    assert.equal(error.rawMessage, "not connected after 5 ms: passes");
    return true;
  });

  const hanging = tries();
  await hanging.nth(1);
  hanging.stop.abort(reason);
  await assert.rejects(hanging.result, reason);
  assert.equal(hanging.started.length, 1);

  const late = tries();
  const one = await late.nth(1);
  one.succeed();
  late.stop.abort(reason);
  assert.deepEqual(await late.result.then(() => [], () => late.discarded), [1]);
});
