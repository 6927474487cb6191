/** Channels whose connection is lost. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { EchoService, type Machine, ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { livePeers } from "../../lib/webrtc/peer.ts";
import {
  AuthenticationError,
  dial,
  type DialEvent,
  DialOptions,
  type DialPhase,
  SignalingError,
  type ViamChannel,
} from "../../mod.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";
import { eventually } from "./leaks.ts";

async function echo(channel: ViamChannel): Promise<void> {
  const { message } = await createClient(EchoService, channel).echo({ message: "hello" });
  assert.equal(message, "hello");
}

async function assertUnavailable(call: Promise<unknown>): Promise<void> {
  await assert.rejects(
    call,
    (error) => error instanceof ConnectError && error.code === Code.Unavailable,
  );
}

/** Events, without those of the dial itself. */
class Events {
  readonly list: Exclude<DialEvent, { type: "progress" }>[] = [];

  readonly onEvent = (event: DialEvent): void => {
    if (event.type !== "progress") this.list.push(event);
  };

  get types(): string[] {
    return this.list.map(({ type }) => type);
  }

  async until(type: DialEvent["type"], count = 1): Promise<void> {
    const seen = () => this.types.filter((each) => each === type).length;
    await eventually(() => seen() >= count, () => `${seen()} of ${count} "${type}" in ${this.types}`, 60_000);
  }
}

async function open(options: DialOptions = {}) {
  const machine = await startMachine();
  const events = new Events();
  const channel = await dial(machine.address, {
    insecure: true,
    ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
    ...options,
    onEvent(event) {
      events.onEvent(event);
      options.onEvent?.(event);
    },
  });
  return {
    machine,
    events,
    channel,
    async [Symbol.asyncDispose]() {
      await channel.close();
      await machine.close();
    },
  };
}

test("a lost WebRTC connection is replaced under the same channel, and calls wait for that", async () => {
  await using opened = await open();
  const { channel, machine, events } = opened;
  const inFlight = createClient(ProbeService, channel).hangUnary({});
  const failed = assertUnavailable(inFlight);
  await echo(channel);
  assert.equal(channel.state, "connected");
  machine.dropConnections();
  await failed;
  assert.equal(channel.state, "reconnecting");
  await Promise.all([echo(channel), echo(channel)]);
  assert.equal(channel.state, "connected");
  assert.deepEqual(events.types, ["connecting", "connected", "disconnected", "reconnecting", "connected"]);
  const [, , disconnected, reconnecting, connected] = events.list;
  assert.ok(disconnected!.type === "disconnected" && disconnected!.error instanceof ConnectError);
  assert.ok(reconnecting?.type === "reconnecting" && reconnecting.attempt === 1);
  // The machine has closed the connections of all its clients.
  assert.ok(reconnecting.delayMs >= 0 && reconnecting.delayMs <= 300, `${reconnecting.delayMs} ms`);
  assert.deepEqual(connected, { type: "connected", kind: "webrtc" });
});

test("maxReconnectAttempts counts anew after each success", async () => {
  await using opened = await open({ maxReconnectAttempts: 1 });
  const { channel, machine, events } = opened;
  for (let outage = 1; outage <= 4; outage++) {
    machine.dropConnections();
    await events.until("connected", 1 + outage);
    await echo(channel);
  }
  assert.ok(
    events.list.every((event) => event.type !== "reconnecting" || event.attempt === 1),
    JSON.stringify(events.list),
  );
});

test("after maxReconnectAttempts the channel is closed, with the last error", async () => {
  await using opened = await open();
  const { channel, machine, events } = opened;
  // Such a failure does not pass, and ends each attempt at once.
  machine.faults = { signaling: { noConfig: true } };
  machine.dropConnections();
  const error = await channel.closed;
  assert.ok(error instanceof SignalingError && error.phase === "config", String(error));
  assert.match(error.message, /^Cannot dial .*\. [A-Z]/);
  assert.ok(error.cause instanceof ConnectError && error.cause.code === Code.FailedPrecondition);
  assert.equal(channel.state, "closed");
  const attempts = [1, 2, 3].flatMap(() => ["reconnecting", "reconnectfailed"]);
  assert.deepEqual(events.types, ["connecting", "connected", "disconnected", ...attempts, "closed"]);
  const pauses = events.list.flatMap((event) => event.type === "reconnecting" ? [event] : []);
  assert.deepEqual(pauses.map(({ attempt }) => attempt), [1, 2, 3]);
  assert.ok(pauses[0]!.delayMs <= 300, `${pauses[0]!.delayMs} ms`);
  for (const { delayMs } of pauses.slice(1)) assert.ok(delayMs >= 1_000 && delayMs <= 1_500, `${delayMs} ms`);
  const last = events.list.at(-1)!;
  assert.ok(last.type === "closed" && last.error === error);
  const start = performance.now();
  await assertUnavailable(echo(channel));
  assert.ok(performance.now() - start < 5_000);
});

/** Resolves after so many tries of a phase have failed. */
function failures(phase: DialPhase, count: number) {
  const reached = Promise.withResolvers<void>();
  const onEvent = (event: DialEvent): void => {
    if (event.type !== "progress" || event.entry.phase !== phase || event.entry.ok) return;
    if (--count === 0) reached.resolve();
  };
  return { onEvent, reached: reached.promise };
}

/** The longest pause, and what connecting may take on a busy computer. */
const NOTICED_MS = 1_500 + 1_500;

test(
  "an attempt tries again while the machine is away, and notices within two seconds that it is back",
  async () => {
    const auth = { credentials: [{ type: "api-key", entity: crypto.randomUUID(), payload: "the-key" }] };
    const before = await startMachine({ auth });
    const refused = failures("connect", 5);
    await using channel = await dial(before.address, {
      insecure: true,
      ...DialOptions.withApiKey(before.apiKey, before.apiKeyId),
      maxReconnectAttempts: 1,
      onEvent: refused.onEvent,
    });
    const events = channel.events();
    const lost = new Promise((resolve) => channel.addEventListener("reconnecting", resolve));
    await before.close();
    await lost;
    const waiting = echo(channel);
    await refused.reached;
    await using _again = await startMachine({ auth, port: before.port });
    const start = performance.now();
    await waiting;
    const tookMs = performance.now() - start;
    assert.ok(tookMs < NOTICED_MS, `${tookMs} ms`);
    const seen: string[] = [];
    for await (const { type } of events) {
      seen.push(type);
      if (type === "connected") break;
    }
    assert.deepEqual(seen, ["disconnected", "reconnecting", "connected"]);
  },
  { timeoutMs: 60_000 },
);

test("an attempt goes on while the signaling server says that the machine is offline", async () => {
  const offline = failures("signaling", 3);
  await using opened = await open({ maxReconnectAttempts: 1, onEvent: offline.onEvent });
  const { channel, machine } = opened;
  machine.faults = { signaling: { offline: true } };
  machine.dropConnections();
  await offline.reached;
  machine.faults = {};
  await echo(channel);
  assert.equal(channel.getStats().reconnects, 1);
});

test(
  "a try that reaches nobody is joined by another, which notices within two seconds that the machine is back",
  async () => {
    const before = await startMachine({ auth: "none" });
    const { address, port } = before;
    await using channel = await dial(address, { insecure: true, maxReconnectAttempts: 1 });
    const lost = new Promise((resolve) => channel.addEventListener("reconnecting", resolve));
    await before.close();
    await lost;
    const waiting = echo(channel);
    const accepted = Promise.withResolvers<void>();
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => {
      sockets.add(socket);
      accepted.resolve();
    });
    try {
      silent.listen(port, "127.0.0.1");
      await accepted.promise;
      silent.close(); // it takes no more connections, and keeps the one that hears nothing
      await using _again = await startMachine({ auth: "none", port });
      const start = performance.now();
      await waiting;
      assert.ok(performance.now() - start < NOTICED_MS, `${performance.now() - start} ms`);
      assert.equal(channel.getStats().reconnects, 1);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  },
  { timeoutMs: 60_000 },
);

test("an attempt ends early at a key that the machine no longer takes", async () => {
  const before = await startMachine();
  await using channel = await dial(before.address, {
    insecure: true,
    ...DialOptions.withApiKey(before.apiKey, before.apiKeyId),
    maxReconnectAttempts: 2,
  });
  const { port } = before;
  const start = performance.now();
  await before.close();
  await using _other = await startMachine({ port });
  const error = await channel.closed;
  assert.ok(error instanceof AuthenticationError, String(error));
  assert.ok(performance.now() - start < 15_000, "it waited for the time of an attempt");
}, { timeoutMs: 60_000 });

test("maxReconnectAttempts Infinity never gives up", async () => {
  await using opened = await open({ maxReconnectAttempts: Infinity });
  const { channel, machine, events } = opened;
  machine.faults = { signaling: { noConfig: true } };
  machine.dropConnections();
  await events.until("reconnectfailed", 4);
  assert.equal(channel.state, "reconnecting");
  machine.faults = {};
  await echo(channel);
});

test("a call that waits for a reconnect fails with its outcome, or at its own deadline", async () => {
  await using opened = await open({ timeoutMs: 3_000, maxReconnectAttempts: 1 });
  const { channel, machine, events } = opened;
  machine.faults = { silent: true };
  machine.dropConnections();
  await events.until("reconnecting");
  const waiting = assertUnavailable(echo(channel));
  await assert.rejects(
    createClient(EchoService, channel).echo({}, { timeoutMs: 100 }),
    (error) => error instanceof ConnectError && error.code === Code.DeadlineExceeded,
  );
  assert.equal(channel.state, "reconnecting");
  await waiting;
  assert.equal(channel.state, "closed");
});

test("maxReconnectAttempts 0 closes the channel at once", async () => {
  await using opened = await open({ maxReconnectAttempts: 0 });
  const { channel, machine, events } = opened;
  machine.dropConnections();
  assert.ok(await channel.closed instanceof Error);
  assert.deepEqual(events.types, ["connecting", "connected", "disconnected", "closed"]);
});

test("timeoutMs bounds each attempt to reconnect", async () => {
  await using opened = await open({ maxReconnectAttempts: 2, timeoutMs: 2_500 });
  const { channel, machine, events } = opened;
  machine.faults = { silent: true };
  const start = performance.now();
  machine.dropConnections();
  assert.ok(await channel.closed instanceof Error);
  const tookMs = performance.now() - start;
  assert.ok(tookMs >= 4_900 && tookMs < 20_000, `it took ${tookMs} ms`);
  for (const event of events.list) {
    if (event.type === "reconnectfailed") assert.match(event.error.message, /2500 ms/);
  }
});

test("close() stops an attempt to reconnect at once, and leaves nothing of it", async () => {
  for (const during of ["a try", "a pause between tries", "a pause between attempts"] as const) {
    const refused = failures("connect", 2);
    await using opened = await open({ maxReconnectAttempts: Infinity, onEvent: refused.onEvent });
    const { channel, machine, events } = opened;
    if (during === "a try") machine.faults = { silent: true };
    if (during === "a pause between attempts") machine.faults = { signaling: { noConfig: true } };
    machine.dropConnections();
    if (during === "a pause between tries") await machine.close();
    await (during === "a pause between tries"
      ? refused.reached
      : events.until(during === "a try" ? "reconnecting" : "reconnectfailed"));
    const waiting = assertUnavailable(echo(channel));
    const start = performance.now();
    await channel.close();
    assert.ok(performance.now() - start < 3_000, `close() took ${performance.now() - start} ms`);
    await waiting;
    const count = events.list.length;
    assert.deepEqual(events.list.at(-1), { type: "closed", error: undefined });
    assert.equal(await channel.closed, undefined);
    await eventually(() => ownPeers(machine) === 0, () => `${livePeers()} peer connections`);
    assert.equal(events.list.length, count);
  }
}, { timeoutMs: 60_000 });

test("close() while another connection is made leaves nothing of it, at any step", async () => {
  for (const step of ["connect", "config", "offer", "signaling", "channel"] as const) {
    let isLost = false;
    const reached = Promise.withResolvers<void>();
    await using opened = await open({
      onEvent(event) {
        if (isLost && event.type === "progress" && event.entry.phase === step) reached.resolve();
      },
    });
    const { channel, machine, events } = opened;
    isLost = true;
    machine.dropConnections();
    await reached.promise;
    await channel.close();
    // The machine counts a connection before it has made it.
    assert.ok(ownPeers(machine) <= 0, `${ownPeers(machine)} peer connections after the step ${step}`);
    assert.equal(events.types.at(-1), "closed");
  }
});

function ownPeers(machine: Machine): number {
  return livePeers() - machine.connections;
}

test("signal stops an attempt to reconnect, and its reason closes the channel", async () => {
  const abort = new AbortController();
  await using opened = await open({ maxReconnectAttempts: 1_000, signal: abort.signal });
  const { channel, machine, events } = opened;
  machine.faults = { silent: true };
  machine.dropConnections();
  await events.until("reconnecting");
  const reason = new Error("enough");
  abort.abort(reason);
  assert.equal(await channel.closed, reason);
  assert.equal(channel.state, "closed");
});

test("streams on a direct channel are unavailable while the machine is away, and go on when it is back", async () => {
  const before = await startMachine({ auth: "none" });
  await using channel = await dial(before.address, { insecure: true, disableWebrtc: true });
  const chat = async () => {
    const messages = createClient(EchoService, channel).echoBiDi(one(), { timeoutMs: 5_000 });
    return (await Array.fromAsync(messages)).map(({ message }) => message).join("");
  };
  async function* one() {
    yield { message: "hi" };
  }
  await echo(channel);
  await before.close();
  await assertUnavailable(chat());
  await using _again = await startMachine({ auth: "none", port: before.port });
  await echo(channel);
  assert.equal(await chat(), "hi");
});

test("a machine that was killed and is back is found again, by the silence of its connection", async () => {
  const program = "tests/dial/programs/machine.ts";
  await using first = startProgram(program, { args: ["0"] });
  const address = await first.line();
  const events = new Events();
  await using channel = await dial(address, { insecure: true, onEvent: events.onEvent });
  await echo(channel);
  const inFlight = assertUnavailable(createClient(ProbeService, channel).hangUnary({}));
  first.kill("SIGKILL");
  await first.exit;
  await using second = startProgram(program, { args: [address.split(":")[1]!] });
  assert.equal(await second.line(), address);
  await events.until("connected", 2);
  await echo(channel);
  assert.deepEqual(events.types, ["connecting", "connected", "disconnected", "connected"]);
  await inFlight;
  assert.equal(channel.getStats().reconnects, 1);
}, { timeoutMs: 120_000 });

test(
  "a machine that was stopped keeps its connection, and answers every call that has the time",
  async () => {
    await using program = startProgram("tests/dial/programs/machine.ts", { args: ["0"] });
    const events = new Events();
    await using channel = await dial(await program.line(), { insecure: true, onEvent: events.onEvent });
    await echo(channel);
    program.kill("SIGSTOP");
    const calls = [echo(channel)];
    await assert.rejects(
      createClient(EchoService, channel).echo({}, { timeoutMs: 1_600 }),
      (error) => error instanceof ConnectError && error.code === Code.DeadlineExceeded,
    );
    // By now another connection is being made.
    calls.push(echo(channel));
    program.kill("SIGCONT");
    await Promise.all(calls);
    assert.deepEqual(events.types, ["connecting", "connected"]);
    assert.equal(channel.getStats().reconnects, 0);
  },
  { timeoutMs: 60_000 },
);

/** A relay to a machine, which can be made to pass nothing on, as a network that is gone does. */
async function startRelay(port: number) {
  const pairs: { readonly from: Socket; readonly to: Socket }[] = [];
  let isCut = false;
  const server = createServer((from) => {
    const to = createConnection(port, "127.0.0.1");
    pairs.push({ from, to });
    for (const socket of [from, to]) socket.on("error", () => {});
    from.pipe(to);
    to.pipe(from);
    if (isCut) isolate({ from, to });
  });
  function isolate({ from, to }: { readonly from: Socket; readonly to: Socket }): void {
    for (const socket of [from, to]) socket.unpipe().pause();
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => pairs.length,
    /** Cuts the connections that there are, or new ones, too. */
    cut(also: "those there are" | "new ones, too") {
      isCut = also === "new ones, too";
      pairs.forEach(isolate);
    },
    mend() {
      isCut = false;
      for (const { from, to } of pairs) {
        from.pipe(to);
        to.pipe(from);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const { from, to } of pairs) {
        from.destroy();
        to.destroy();
      }
      server.close();
      await once(server, "close");
    },
  };
}

test("a direct call on native gRPC goes out on a new connection once the one before is silent", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using relay = await startRelay(machine.port);
  await using channel = await dial(relay.address, { insecure: true, disableWebrtc: true, protocol: "grpc" });
  await echo(channel);
  const lost = assertUnavailable(createClient(ProbeService, channel).hangUnary({}));
  await eventually(
    () => total(machine, `/${ProbeService.typeName}/HangUnary`) === 1,
    () => "the call has not arrived",
  );
  relay.cut("those there are");
  await assert.rejects(
    createClient(EchoService, channel).echo({}, { timeoutMs: 2_500 }),
    (error) => error instanceof ConnectError && error.code === Code.DeadlineExceeded,
  );
  const start = performance.now();
  await echo(channel);
  assert.ok(performance.now() - start < 2_000, `${performance.now() - start} ms`);
  await lost;
  assert.equal(relay.connections(), 2);
}, { timeoutMs: 60_000 });

test("a silent direct connection that speaks again keeps its calls, and new ones", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using relay = await startRelay(machine.port);
  await using channel = await dial(relay.address, { insecure: true, disableWebrtc: true, protocol: "grpc" });
  await echo(channel);
  relay.cut("new ones, too");
  const calls = [echo(channel)];
  await assert.rejects(
    createClient(EchoService, channel).echo({}, { timeoutMs: 2_000 }),
    (error) => error instanceof ConnectError && error.code === Code.DeadlineExceeded,
  );
  calls.push(echo(channel));
  await eventually(() => relay.connections() === 2, () => `${relay.connections()} connections`);
  relay.mend();
  await Promise.all(calls);
}, { timeoutMs: 60_000 });

for (
  const [name, way] of [
    ["gRPC-Web", {}],
    ["native gRPC", { protocol: "grpc" }],
  ] as const
) {
  for (const secure of [false, true]) {
    const title = `${name}${secure ? " over TLS" : ""}`;

    test(`a direct channel goes on when its server is back, ${title}`, async () => {
      const certificates = secure ? await makeCertificates() : undefined;
      await using _removed = { [Symbol.asyncDispose]: async () => await certificates?.remove() };
      const auth = {
        credentials: [{ type: "api-key", entity: crypto.randomUUID(), payload: "the-key" }],
      };
      const start = (port = 0) =>
        startMachine({ port, auth, ...(certificates === undefined ? {} : { tls: certificates }) });
      const first = await start();
      await using channel = await dial(first.address, {
        ...DialOptions.withApiKey(first.apiKey, first.apiKeyId),
        ...way,
        disableWebrtc: true,
        ...(certificates === undefined ? { insecure: true } : { tls: { ca: certificates.ca } }),
      });
      await callEveryKind(channel);
      const inFlight = assertUnavailable(createClient(ProbeService, channel).hangUnary({}));
      await eventually(
        () => total(first, `/${ProbeService.typeName}/HangUnary`) === 1,
        () => "the call has not arrived",
      );
      await first.close();
      await inFlight;
      for (let call = 1; call <= 3; call++) await assertUnavailable(echo(channel));
      // It knows nothing of the tokens of the one before.
      await using second = await start(first.port);
      await callEveryKind(channel);
      assert.ok(total(second, `/${EchoService.typeName}/Echo`) >= 1);
      assert.equal(channel.state, "connected");
    }, { timeoutMs: 60_000 });
  }
}

async function callEveryKind(channel: ViamChannel): Promise<void> {
  await echo(channel);
  const probe = createClient(ProbeService, channel);
  for await (const _ of probe.download({ size: 1, count: 2 }));
  for await (const _ of probe.exchange(one()));
}

async function* one() {
  yield { data: Uint8Array.of(1) };
}

function total(machine: Machine, path: string): number {
  return Object.values(machine.callsTo(path)).reduce((sum: number, count: number) => sum + count, 0);
}
