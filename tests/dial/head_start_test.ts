import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { withHeadStart } from "../../lib/dial/head_start.ts";
import { createBackground } from "../../lib/runtime/background.ts";
import { test } from "../harness.ts";

/** Both ways, in the hands of the test. */
function ways(headStartMs = 60_000, isFinal = (_error: unknown) => false) {
  const better = Promise.withResolvers<string | undefined>(), other = Promise.withResolvers<string>();
  const caller = new AbortController();
  const discarded: string[] = [];
  let promise = () => {};
  const signals: AbortSignal[] = [];
  const background = createBackground();
  const result = withHeadStart<string>({
    better(signal, promising) {
      signals[0] = signal;
      promise = promising;
      return better.promise;
    },
    other(signal) {
      signals[1] = signal;
      return other.promise;
    },
    headStartMs,
    isFinal,
    discard: (late) => {
      discarded.push(late);
      return Promise.resolve();
    },
    background,
    signal: caller.signal,
  });
  result.catch(() => {});
  return { better, other, result, discarded, background, signals, caller, promise: () => promise() };
}

/** The state of a promise, after everything that was resolved has been heard. */
async function now(promise: Promise<string>): Promise<string> {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return await Promise.race([promise, Promise.resolve("pending")]);
}

test("withHeadStart() takes the better way when it is there first, and frees the other that comes late", async () => {
  const { better, other, result, discarded, signals } = ways();
  better.resolve("better");
  assert.equal(await result, "better");
  assert.equal(signals[1]!.aborted, true);
  assert.equal(signals[0]!.aborted, false);
  other.resolve("other");
  await now(result);
  assert.deepEqual(discarded, ["other"]);
});

test("withHeadStart() takes the other way at once while the better one promises nothing", async () => {
  const { better, other, result, discarded, signals } = ways();
  other.resolve("other");
  assert.equal(await result, "other");
  assert.equal(signals[0]!.aborted, true);
  better.resolve("better");
  await now(result);
  assert.deepEqual(discarded, ["better"]);
});

test("withHeadStart() waits for the better way that is promising", async () => {
  const { better, other, result, discarded, promise } = ways();
  promise();
  other.resolve("other");
  assert.equal(await now(result), "pending");
  better.resolve("better");
  assert.equal(await result, "better");
  await now(result);
  assert.deepEqual(discarded, ["other"]);
});

test("withHeadStart() waits no longer than the head start, from the promise on", async () => {
  const { other, result, signals, promise } = ways(20);
  promise();
  await new Promise((resolve) => setTimeout(resolve, 25));
  other.resolve("other");
  assert.equal(await now(result), "other");
  assert.equal(signals[0]!.aborted, true);
  const again = ways(20);
  again.promise();
  again.other.resolve("other");
  assert.equal(await again.result, "other");
});

test("withHeadStart() takes the other way when the better one is not there, or fails", async () => {
  for (const end of ["absent", "failed"]) {
    const { better, other, result, promise } = ways();
    promise();
    if (end === "absent") better.resolve(undefined);
    else better.reject(new Error("it is stale"));
    assert.equal(await now(result), "pending");
    other.resolve("other");
    assert.equal(await result, "other");
  }
});

test("withHeadStart() waits for the better way when the other one fails, and throws its error when both do", async () => {
  const first = ways();
  first.other.reject(new Error("no internet"));
  assert.equal(await now(first.result), "pending");
  first.better.resolve("better");
  assert.equal(await first.result, "better");

  const second = ways();
  second.better.reject(new Error("it is stale"));
  second.other.reject(new Error("no internet"));
  await assert.rejects(second.result, /no internet/);

  const third = ways();
  third.better.resolve(undefined);
  third.other.reject(new Error("no internet"));
  await assert.rejects(third.result, /no internet/);
});

test("withHeadStart() gives both ways up with the caller's signal", () => {
  const { signals, caller, better, other } = ways();
  better.promise.catch(() => {});
  other.promise.catch(() => {});
  caller.abort(new Error("enough"));
  assert.deepEqual(signals.map(({ aborted }) => aborted), [true, true]);
});

test("withHeadStart() throws the error of a promising better way when the other is unreachable", async () => {
  const nowhere = new ConnectError("name not found", Code.Unavailable);
  const refused = new ConnectError("invalid credentials", Code.Unauthenticated);
  for (const isFirst of [true, false]) {
    const { better, other, result, promise } = ways();
    promise();
    if (isFirst) better.reject(refused);
    await now(result.catch(() => "rejected"));
    other.reject(nowhere);
    await now(result.catch(() => "rejected"));
    better.reject(refused);
    await assert.rejects(result, (error) => error === refused);
  }
  const { better, other, result } = ways();
  better.reject(refused);
  other.reject(nowhere);
  await assert.rejects(result, (error) => error === nowhere);
});

test("withHeadStart() waits for a better way that promises nothing no longer than a head start after a final error", async () => {
  const wrongKey = new Error("wrong key");
  const { better, other, result, discarded, signals } = ways(1, (error) => error === wrongKey);
  other.reject(wrongKey);
  await assert.rejects(result, wrongKey);
  assert.equal(signals[0]!.aborted, true);
  better.resolve("better");
  await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(discarded, ["better"]);
});

test("withHeadStart() takes a better way that had promised itself, or is there soon, after a final error", async () => {
  const promising = ways(1, () => true);
  promising.promise();
  promising.other.reject(new Error("wrong key"));
  assert.equal(await now(promising.result), "pending");
  promising.better.resolve("better");
  assert.equal(await promising.result, "better");
  const soon = ways(60_000, () => true);
  soon.other.reject(new Error("wrong key"));
  soon.better.resolve("better");
  assert.equal(await soon.result, "better");
});
