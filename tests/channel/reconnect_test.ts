/** A kept link, with links whose life and end the test controls. */

import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Link, Loss } from "../../lib/channel/link.ts";
import { keepLink, type KeptLink } from "../../lib/channel/reconnect.ts";
import type { Carrier } from "../../lib/rpc/carrier.ts";
import type { LifeSign } from "../../lib/rpc/life.ts";
import { test } from "../harness.ts";

/** A link that the test controls. */
function scriptedLink(calls = 0) {
  const lost = Promise.withResolvers<Loss>();
  const done: string[] = [];
  let tell: (sign: LifeSign) => void = () => {};
  const carrier: Carrier = {
    open: () => assert.fail("no calls here"),
    close: () => Promise.resolve(),
  };
  const link: Link = {
    kind: "webrtc",
    carrier,
    authorization: undefined,
    baseUrl: "https://robot",
    lost: lost.promise,
    life: {
      calls,
      listen: (listener) => tell = listener,
      doubt() {},
      ask() {},
      replace: () => done.push("replaced"),
    },
    path: () => assert.fail("nobody asks"),
    close() {
      if (!done.includes("closed")) done.push("closed");
      return Promise.resolve();
    },
  };
  return { link, done, lose: lost.resolve, say: (sign: LifeSign) => tell(sign) };
}

const LOST: Loss = { error: new ConnectError("gone", Code.Unavailable), byMachine: false };

/** Keeps a link; the test settles each attempt to make another. */
function keep(first: Link, maxAttempts = 3) {
  const attempts: (PromiseWithResolvers<Link> & { readonly signal: AbortSignal })[] = [];
  const events: string[] = [];
  let onEvent = (_type: string) => {};
  const kept = keepLink(first, {
    maxAttempts,
    timeoutMs: Infinity,
    pauseMs: () => 0,
    signal: undefined,
    onEvent({ type }) {
      events.push(type);
      onEvent(type);
    },
    connect(signal) {
      const attempt = { ...Promise.withResolvers<Link>(), signal };
      signal.addEventListener("abort", () => attempt.reject(signal.reason));
      attempts.push(attempt);
      return attempt.promise;
    },
  });
  return { kept, attempts, events, on: (listener: (type: string) => void) => onEvent = listener };
}

/** Lets what is settled take its course. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

async function carrierOf(kept: KeptLink): Promise<Carrier> {
  return await kept.carrier();
}

test("keepLink() holds new calls while the link is suspected, and keeps it when it speaks first", async () => {
  const first = scriptedLink(1), second = scriptedLink();
  const { kept, attempts, events } = keep(first.link);
  assert.equal(kept.carrier(), first.link.carrier);
  first.say("suspected");
  assert.equal(attempts.length, 1);
  const call = carrierOf(kept);
  first.say("alive");
  assert.equal(await call, first.link.carrier);
  assert.equal(kept.carrier(), first.link.carrier);
  assert.equal(attempts[0]!.signal.aborted, true);
  assert.deepEqual([events, first.done, kept.reconnects], [[], [], 0]);
  // One that was open by then is closed.
  first.say("suspected");
  attempts[1]!.resolve(second.link);
  first.say("alive");
  await turn();
  assert.deepEqual([second.done, kept.link === first.link], [["closed"], true]);
  await kept.close();
});

test("keepLink() puts another link in the place of a silent one, which ends its own calls", async () => {
  const first = scriptedLink(2), second = scriptedLink();
  const { kept, attempts, events, on } = keep(first.link);
  first.say("suspected");
  const call = carrierOf(kept);
  let early: Promise<Carrier> | undefined;
  on((type) => {
    if (type === "disconnected") early ??= carrierOf(kept);
  });
  attempts[0]!.resolve(second.link);
  assert.equal(await call, second.link.carrier);
  assert.equal(await early, second.link.carrier);
  assert.deepEqual([events, first.done, kept.reconnects], [["disconnected", "connected"], ["replaced"], 1]);
  first.say("alive");
  await turn();
  assert.equal(kept.link, second.link);
  first.say("idle");
  assert.deepEqual(first.done, ["replaced", "closed"]);
  second.lose(LOST);
  await turn();
  assert.equal(kept.state, "reconnecting");
  await kept.close();
});

test("keepLink() closes a replaced link at once where it has no calls, else when it is lost", async () => {
  for (const calls of [0, 1]) {
    const first = scriptedLink(calls), second = scriptedLink();
    const { kept, attempts } = keep(first.link);
    first.say("suspected");
    attempts[0]!.resolve(second.link);
    await turn();
    assert.deepEqual(first.done, calls === 0 ? ["closed"] : ["replaced"]);
    first.lose(LOST);
    await turn();
    assert.equal(first.done.at(-1), "closed");
    assert.deepEqual([kept.state, kept.link === second.link], ["connected", true]);
    await kept.close();
  }
});

test("keepLink() takes what suspicion has begun for the first attempt once the link is lost", async () => {
  for (const hasFailed of [false, true]) {
    const first = scriptedLink(1), second = scriptedLink();
    const { kept, attempts, events } = keep(first.link);
    first.say("suspected");
    const call = carrierOf(kept);
    if (hasFailed) attempts[0]!.reject(new Error("no way"));
    await turn();
    assert.equal(kept.state, "connected");
    first.lose(LOST);
    await turn();
    attempts.at(-1)!.resolve(second.link);
    assert.equal(await call, second.link.carrier);
    await turn();
    const failed = hasFailed ? ["reconnectfailed", "reconnecting"] : [];
    assert.deepEqual(events, ["disconnected", "reconnecting", ...failed, "connected"]);
    assert.equal(attempts.length, hasFailed ? 2 : 1);
    assert.deepEqual(first.done, ["closed"]);
    await kept.close();
  }
});

test("keepLink() makes no other link where reconnecting is disabled, and holds no calls", async () => {
  const first = scriptedLink(1);
  const { kept, attempts, events } = keep(first.link, 0);
  first.say("suspected");
  assert.equal(kept.carrier(), first.link.carrier);
  first.lose(LOST);
  assert.equal(await kept.closed, LOST.error);
  assert.deepEqual([attempts.length, events], [0, ["disconnected", "closed"]]);
});

test("keepLink() asks a doubted link before it makes another", async () => {
  const first = scriptedLink();
  const { kept, attempts } = keep(first.link);
  first.say("doubted");
  const call = carrierOf(kept);
  assert.equal(attempts.length, 0);
  // The machine stops what moves if these wait.
  assert.equal(kept.carrier(true), first.link.carrier);
  first.say("alive");
  assert.equal(await call, first.link.carrier);
  first.say("doubted");
  first.say("suspected");
  assert.equal(attempts.length, 1);
  assert.notEqual(kept.carrier(true), first.link.carrier);
  await kept.close();
});

test("close() waits for a link that was dropped, and closes one that opens at the same moment", async () => {
  const first = scriptedLink(1), second = scriptedLink(), third = scriptedLink();
  const { kept, attempts } = keep(first.link);
  const freed = Promise.withResolvers<void>();
  first.say("suspected");
  attempts[0]!.resolve({ ...second.link, close: () => freed.promise });
  first.say("alive");
  first.say("suspected");
  attempts[1]!.resolve(third.link);
  let isClosed = false;
  const closing = kept.close().then(() => isClosed = true);
  await turn();
  assert.deepEqual([third.done, isClosed], [["closed"], false]);
  freed.resolve();
  await closing;
});

for (const during of ["suspicion", "the report of a replacement", "the report of a loss"] as const) {
  test(`close() during ${during} closes every link, and fails the calls that wait`, async () => {
    const first = scriptedLink(1), second = scriptedLink();
    const { kept, attempts, events, on } = keep(first.link);
    let closing: Promise<void> | undefined;
    on((type) => {
      if (type === "disconnected") closing ??= kept.close();
    });
    first.say("suspected");
    const call = carrierOf(kept);
    call.catch(() => {});
    if (during === "suspicion") closing = kept.close();
    else if (during === "the report of a loss") first.lose(LOST);
    attempts[0]!.resolve(second.link);
    await turn();
    await closing;
    await assert.rejects(call, (error) => error instanceof ConnectError && error.code === Code.Unavailable);
    await assert.rejects(carrierOf(kept));
    assert.equal(await kept.closed, undefined);
    assert.deepEqual([first.done.at(-1), kept.state], ["closed", "closed"]);
    assert.deepEqual(second.done, during === "suspicion" ? [] : ["closed"]);
    assert.deepEqual(events.at(-1), "closed");
  });
}
