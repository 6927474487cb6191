import assert from "node:assert/strict";
import type { ChannelCore } from "../../lib/channel/channel.ts";
import { channelStats } from "../../lib/channel/stats.ts";
import { LOGGER, type Logger, quietLogger } from "../../lib/logger.ts";
import { TrafficCounts } from "../../lib/core/grpc/traffic_counts.ts";
import { inspect } from "node:util";
import { createClient } from "@connectrpc/connect";
import type { DialEvent } from "../../lib/events.ts";
import { EchoService, startMachine } from "../../lib/testing/mod.ts";
import {
  AuthenticatedChannel,
  type ChannelEvent,
  dial,
  dialDirect,
  DialOptions,
  ViamChannel,
} from "../../mod.ts";
import { test } from "../harness.ts";

/** A channel whose events and end the test controls; nothing can be called on it. */
function channelOf(close: () => Promise<void>, logger: Required<Logger> = LOGGER): {
  readonly channel: AuthenticatedChannel;
  readonly emit: (event: DialEvent) => void;
  readonly listeners: () => number;
} {
  const listeners = new Set<(event: DialEvent) => void>();
  const core: ChannelCore = {
    kind: "direct",
    timeline: [],
    logger,
    transport: {
      unary: () => Promise.reject(new Error("no calls here")),
      stream: () => Promise.reject(new Error("no calls here")),
    },
    inSession: () => Promise.reject(new Error("no calls here")),
    stats: () => channelStats(new TrafficCounts(), 0, undefined),
    state: () => "connected",
    path: () => ({
      kind: "direct",
      protocol: "grpc",
      local: undefined,
      remote: "robot:1",
      roundTripMs: undefined,
    }),
    closed: new Promise(() => {}),
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close,
  };
  return {
    channel: new AuthenticatedChannel(core),
    emit: (event) => {
      for (const listener of listeners) listener(event);
    },
    listeners: () => listeners.size,
  };
}

test("ViamChannel releases once after closing, however often and in whichever way it is closed", async () => {
  const steps: string[] = [];
  const { channel } = channelOf(() => {
    steps.push("close");
    return Promise.resolve();
  });
  const machine = new ViamChannel(channel, () => void steps.push("release"));
  const closing = machine.close();
  assert.equal(machine.close(), closing);
  await closing;
  await machine.close();
  await machine[Symbol.asyncDispose]();
  await machine.release();
  assert.deepEqual(steps, ["close", "release"]);
}, { pure: true });

test("ViamChannel releases even if closing fails, and rejects with that error", async () => {
  const broken = new Error("cannot close");
  for (const close of [() => Promise.reject(broken), () => assert.fail(broken)]) {
    let released = 0;
    const machine = new ViamChannel(channelOf(close).channel, () => void released++);
    await assert.rejects(machine.close(), broken);
    await assert.rejects(machine.close(), broken);
    assert.equal(released, 1);
  }
}, { pure: true });

test("ViamChannel reports both errors when closing and releasing fail", async () => {
  const machine = new ViamChannel(channelOf(() => Promise.reject(new Error("one"))).channel, () => {
    throw new Error("two");
  });
  await assert.rejects(machine.close(), (error: unknown) => {
    assert.ok(error instanceof AggregateError);
    assert.deepEqual(error.errors.map(({ message }) => message), ["one", "two"]);
    return true;
  });
}, { pure: true });

test("ViamChannel waits for a slow release", async () => {
  const released = Promise.withResolvers<void>();
  const machine = new ViamChannel(channelOf(() => Promise.resolve()).channel, () => released.promise);
  let closed = false;
  const closing = machine.close().then(() => closed = true);
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(closed, false);
  released.resolve();
  await closing;
});

test("await using closes the channel, also after an error, which it passes on", async () => {
  await using machine = await startMachine({ auth: "none" });
  let used: ViamChannel | undefined;
  await assert.rejects(async () => {
    await using channel = await dial(machine.address, { insecure: true });
    used = channel;
    throw new Error("the program's own");
  }, /the program's own/);
  assert.equal(used?.state, "closed");
  assert.equal(await used?.closed, undefined);
});

test("AuthenticatedChannel.close() is idempotent, and calls after it fail as unavailable", async () => {
  await using machine = await startMachine({ auth: "none" });
  const channel = await dialDirect(machine.address, { insecure: true });
  await Promise.all([channel.close(), channel.close()]);
  await channel.close();
  await assert.rejects(createClient(EchoService, channel).echo({ message: "x" }), /\[unavailable\]/);
});

const story: readonly ChannelEvent[] = [
  { type: "disconnected", error: new Error("lost") },
  { type: "reconnecting", attempt: 1, delayMs: 100 },
  { type: "reconnectfailed", attempt: 1, error: new Error("no") },
  { type: "reconnecting", attempt: 2, delayMs: 200 },
  { type: "connected", kind: "direct" },
  { type: "closed", error: undefined },
];

test("ViamChannel dispatches each event of its channel as the detail of a CustomEvent", () => {
  const { channel, emit } = channelOf(() => Promise.resolve());
  const machine = new ViamChannel(channel);
  const seen: ChannelEvent[] = [];
  for (const type of ["disconnected", "reconnecting", "reconnectfailed", "connected", "closed"] as const) {
    machine.addEventListener(type, (event) => seen.push(event.detail));
  }
  machine.addEventListener("reconnecting", ({ detail }) => {
    const { attempt, delayMs } = detail; // typed, without a cast
    assert.ok(attempt > 0 && delayMs > 0);
  });
  const stopped = () => assert.fail("it was removed");
  machine.addEventListener("closed", stopped);
  machine.removeEventListener("closed", stopped);
  emit({ type: "progress", entry: { phase: "tls", atMs: 0, detail: "x", ok: true } });
  for (const event of story) emit(event);
  assert.deepEqual(seen, story);
}, { pure: true });

test("events() yields the events after its call, and ends after closed", async () => {
  const { channel, emit, listeners } = channelOf(() => Promise.resolve());
  const early = channel.events();
  emit({ type: "progress", entry: { phase: "tls", atMs: 0, detail: "x", ok: true } });
  for (const event of story.slice(0, 3)) emit(event);
  const late = new ViamChannel(channel).events();
  for (const event of story.slice(3)) emit(event);
  emit({ type: "connected", kind: "direct" });
  assert.deepEqual(await Array.fromAsync(early), story);
  assert.deepEqual(await Array.fromAsync(late), story.slice(3));
  assert.equal((await late.next()).done, true);
  assert.equal(listeners(), 0);
}, { pure: true });

test("events() allows several waiting reads, and a reader that leaves", async () => {
  const { channel, emit, listeners } = channelOf(() => Promise.resolve());
  const events = channel.events();
  const reads = [events.next(), events.next(), events.next()];
  emit(story[0]!);
  emit(story[1]!);
  await events.return!();
  assert.deepEqual((await Promise.all(reads)).map(({ value }) => value), [story[0], story[1], undefined]);
  assert.equal(listeners(), 0);
}, { pure: true });

test("a listener that throws or rejects is reported once, and the others still receive their events", async () => {
  const warnings: unknown[] = [];
  const logger = quietLogger({ warn: (message, fields) => warnings.push([message, fields?.error]) });
  const { channel, emit } = channelOf(() => Promise.resolve(), logger);
  const seen: string[] = [];
  const fault = new Error("of a listener");
  const throwing = () => {
    seen.push("throws");
    throw fault;
  };
  channel.addEventListener("disconnected", throwing);
  channel.addEventListener("disconnected", throwing); // an EventTarget takes each once
  channel.addEventListener("disconnected", {
    handleEvent: (event) => {
      seen.push(event.type);
      throw fault;
    },
  } as EventListenerObject);
  // deno-lint-ignore require-await
  channel.addEventListener("disconnected", async () => {
    throw fault;
  });
  channel.addEventListener("disconnected", () => seen.push("fine"));
  channel.addEventListener("disconnected", null);
  emit(story[0]!);
  channel.removeEventListener("disconnected", throwing);
  emit(story[0]!);
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(seen, ["throws", "disconnected", "fine", "disconnected", "fine"]);
  assert.deepEqual(
    warnings,
    Array(3).fill(["a listener of the channel threw an error, which is ignored", fault]),
  );
});

test("AuthenticatedChannel dispatches events to the listeners of each of its handles", () => {
  const { channel, emit } = channelOf(() => Promise.resolve());
  const seen: string[] = [];
  channel.addEventListener("closed", ({ detail }) => seen.push(`channel ${detail.type}`));
  new ViamChannel(channel).addEventListener("closed", ({ detail }) => seen.push(`handle ${detail.type}`));
  emit(story.at(-1)!);
  assert.deepEqual(seen, ["channel closed", "handle closed"]);
}, { pure: true });

test("timeline is frozen, and does not grow after the dial", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using channel = await dial(machine.address, { insecure: true });
  const before = channel.timeline.length;
  const connected = new Promise((resolve) => channel.addEventListener("connected", resolve));
  machine.dropConnections();
  await connected;
  assert.ok(Object.isFrozen(channel.timeline));
  assert.equal(channel.timeline.length, before);
});

test("an inspection of a channel shows its state, and none of its options", async () => {
  await using machine = await startMachine();
  const options = { ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId), insecure: true };
  await using channel = await dial(machine.address, options);
  const text = inspect(channel, { depth: 9, showHidden: false });
  assert.match(text, /^ViamChannel \{/);
  assert.match(text, /kind: .webrtc.,/);
  assert.match(text, /state: .connected.,/);
  assert.match(inspect(channel.channel), /^AuthenticatedChannel \{/);
  assert.match(text, /timeline: \[[\s\S]* ms\s+authenticate: as /);
  assert.ok(!text.includes(machine.apiKey));
});
