import assert from "node:assert/strict";
import type { ChannelCore } from "../../lib/channel/channel.ts";
import { channelStats } from "../../lib/channel/stats.ts";
import { LOGGER } from "../../lib/logger.ts";
import { TrafficCounts } from "../../lib/core/grpc/traffic_counts.ts";
import { inspect } from "node:util";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { EchoService, type Machine, ProbeService, startMachine } from "../../lib/testing/mod.ts";
import {
  AuthenticatedChannel,
  type ChannelEvent,
  dial,
  dialDirect,
  type DialEvent,
  ViamChannel,
} from "../../mod.ts";
import { runtime, test } from "../harness.ts";
import { startProgram } from "../process/child.ts";
import { failureOf, optionsFor, WAYS } from "./robots.ts";

const NAMES = [
  "connecting",
  "connected",
  "disconnected",
  "reconnecting",
  "reconnectfailed",
  "closed",
] as const;

/** Loses the connection, and waits until there is another. */
async function reconnected(machine: Machine, channel: ViamChannel): Promise<ChannelEvent[]> {
  const events = channel.events();
  const seen: ChannelEvent[] = [];
  machine.dropConnections();
  for await (const event of events) {
    seen.push(event);
    if (event.type === "connected" || event.type === "closed") break;
  }
  return seen;
}

test("row 47: ViamChannel has a kind, a state, a path and a closed promise, and dispatches events with a typed detail", async () => {
  await using machine = await startMachine();
  const told: DialEvent[] = [];
  const onEvent = (event: DialEvent) => event.type === "progress" || told.push(event);
  await using channel = await dial(machine.address, { ...optionsFor(machine), onEvent });
  assert.ok(channel instanceof EventTarget);
  assert.deepEqual([channel.kind, channel.state, channel.path.protocol], ["webrtc", "connected", "webrtc"]);
  assert.ok(channel.closed instanceof Promise);
  assert.deepEqual(told, [{ type: "connecting", address: machine.address }, {
    type: "connected",
    kind: "webrtc",
  }]);

  const dispatched: ChannelEvent[] = [];
  for (const name of NAMES) {
    channel.addEventListener(name, (event) => {
      assert.ok(event instanceof CustomEvent);
      assert.equal(event.type, event.detail.type);
      dispatched.push(event.detail);
    });
  }
  const seen = await reconnected(machine, channel);
  assert.deepEqual([seen[0]?.type, seen[1]?.type, seen.at(-1)?.type], [
    "disconnected",
    "reconnecting",
    "connected",
  ]);
  await channel.close();
  assert.equal(await channel.closed, undefined);
  assert.deepEqual(dispatched, [...seen, { type: "closed", error: undefined }]);
  assert.deepEqual(told.slice(2), dispatched);
});

test("row 48: ViamChannel.channel stays the same through a reconnect: calls wait for it, those in flight are Unavailable", async () => {
  await using machine = await startMachine();
  await using viam = await dial(machine.address, optionsFor(machine));
  const { channel } = viam;
  const probe = createClient(ProbeService, channel);
  const stream = probe.hang({})[Symbol.asyncIterator]();
  await stream.next();
  const lost = failureOf(stream.next());
  const waiting = Promise.withResolvers<string>();
  viam.addEventListener("disconnected", () => {
    assert.notEqual(viam.state, "closed");
    createClient(EchoService, channel).echo({ message: "waited" }, { timeoutMs: 30_000 })
      .then(({ message }) => waiting.resolve(message), waiting.reject);
  });
  machine.dropConnections();
  const error = await lost;
  assert.ok(error instanceof ConnectError);
  assert.equal(error.code, Code.Unavailable);
  assert.equal(await waiting.promise, "waited");
  assert.equal(viam.channel, channel);
  assert.equal(viam.state, "connected");
});

/** A channel that stands on nothing but a way to close it. */
function channelClosing(close: () => Promise<void>): AuthenticatedChannel {
  const core: ChannelCore = {
    kind: "direct",
    timeline: [],
    logger: LOGGER,
    transport: { unary: () => assert.fail("a call"), stream: () => assert.fail("a call") },
    inSession: () => assert.fail("a call"),
    stats: () => channelStats(new TrafficCounts(), 0, undefined),
    state: () => "closed",
    path: () => ({
      kind: "direct",
      protocol: "grpc",
      local: undefined,
      remote: undefined,
      roundTripMs: undefined,
    }),
    closed: Promise.resolve(undefined),
    listen: () => () => {},
    close,
  };
  return new AuthenticatedChannel(core);
}

test("row 49: release runs exactly once, even when closing throws", async () => {
  await using machine = await startMachine();
  const real = await dialDirect(machine.address, optionsFor(machine));
  for (
    const [channel, fails] of [[real, false], [
      channelClosing(() => Promise.reject(new Error("stuck"))),
      true,
    ]] as const
  ) {
    let released = 0;
    const viam = new ViamChannel(channel, () => void released++);
    const outcomes = await Promise.allSettled([viam.close(), viam.close(), viam[Symbol.asyncDispose]()]);
    await viam.release();
    assert.equal(released, 1);
    assert.deepEqual(outcomes.map(({ status }) => status === "rejected"), [fails, fails, fails]);
  }
});

test("row 50: close() may be called again and at once, shares one promise, and stops reconnecting", async () => {
  await using machine = await startMachine();
  const channel = await dial(machine.address, { ...optionsFor(machine), maxReconnectAttempts: Infinity });
  const events = channel.events();
  machine.faults = { signaling: { noConfig: true } };
  machine.dropConnections();
  for await (const event of events) if (event.type === "reconnectfailed" && event.attempt === 3) break;
  assert.equal(channel.state, "reconnecting");
  const closing = channel.close();
  assert.equal(channel.close(), closing);
  await closing;
  await channel.close();
  assert.equal(channel.state, "closed");
  assert.equal(await channel.closed, undefined);
});

test(
  "row 51: a channel that nobody has any more is closed with a warning, and keeps no process alive",
  async () => {
    await using machine = await startMachine();
    await using child = startProgram("tests/channel/collected_program.ts", {
      args: [machine.address, machine.apiKey, machine.apiKeyId, "lost direct channels"],
      exposeGc: true,
    });
    const { code, stdout, stderr, lingeredMs } = await child.exit;
    assert.equal(code, 0, stderr);
    assert.equal(stdout.trim(), "warned", runtime);
    assert.ok(lingeredMs < 10_000);
  },
  { timeoutMs: 90_000 },
);

test("row 52: a block of await using has the channel itself", async () => {
  await using machine = await startMachine();
  const dialed = await dial(machine.address, optionsFor(machine));
  await using channel = dialed;
  assert.equal(channel, dialed);
  assert.match(inspect(channel), /^ViamChannel/);
  assert.equal((await createClient(EchoService, channel).echo({ message: "x" })).message, "x");
});

test("row 53: leaving the block closes the channel, after an error too, which goes on", async () => {
  await using machine = await startMachine();
  for (const [, way] of WAYS) {
    for (const error of [undefined, new RangeError("of the block")]) {
      const channel = await dial(machine.address, { ...optionsFor(machine), ...way });
      const block = async () => {
        await using _ = channel;
        if (error !== undefined) throw error;
      };
      if (error === undefined) await block();
      else assert.equal(await failureOf(block()), error);
      assert.equal(channel.state, "closed");
    }
  }
});
