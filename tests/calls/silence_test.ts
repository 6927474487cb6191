/** Connections that go silent: nothing more comes over them, and nobody says so. */

import assert from "node:assert/strict";
import type net from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { dialDirect, type DialOptions } from "../../mod.ts";
import { makeCertificates } from "../certificates.ts";
import { watchDelays } from "../delays.ts";
import { startScriptedServer, type WriteFrame } from "../direct/scripted_server.ts";
import { test } from "../harness.ts";
import { startRelay } from "./relay.ts";

test(
  "keepAliveMs ends calls of every kind on a silent connection, with TLS and without, and after a GOAWAY, and the next calls go on; one complaint counts for all connections",
  async () => {
    const { ca, cert, key, remove } = await makeCertificates();
    await using _removed = { [Symbol.asyncDispose]: remove };
    await Promise.all([
      assertNoticed({ insecure: true }),
      assertNoticed({ tls: { ca } }, { cert, key }),
      assertNoticedAfterGoaway(0),
      assertNoticedAfterGoaway(2),
      assertCalmed(),
    ]);
  },
  { timeoutMs: 60_000 },
);

/** Most time until a silent connection is noticed, in milliseconds: eleven looks, which a busy computer makes late. */
const NOTICED_MS = 30_000;

test("an upload that a slow network holds up for seconds goes on, on its connection", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using relay = await startRelay(machine.port);
  await using channel = await dialDirect(relay.address, { insecure: true });
  const { upload, exchange } = createClient(ProbeService, channel);
  async function* send(count: number) {
    for (let sent = 0; sent < count; sent++) yield { data: new Uint8Array(65_536) };
  }
  // The connection of its kind of calls.
  assert.equal((await Array.fromAsync(exchange(send(1)))).length, 1);
  const { connections } = relay;
  const held = relay.hold();
  // The buffers of the system take all of it.
  const uploaded = upload(send(16));
  await delay(2_000);
  const beside = Array.fromAsync(exchange(send(1)));
  await delay(7_000);
  held.goOn();
  assert.equal((await uploaded).bytes, 1_048_576n);
  assert.equal((await beside).length, 1);
  assert.equal(relay.connections, connections);
}, { timeoutMs: 60_000 });

async function assertNoticed(options: DialOptions, tls?: { readonly cert: string; readonly key: string }) {
  await using machine = await startMachine({ auth: "none", ...(tls === undefined ? {} : { tls }) });
  await using relay = await startRelay(machine.port);
  await using channel = await dialDirect(relay.address, { ...options, keepAliveMs: 1_000 });
  const probe = createClient(ProbeService, channel);
  const left = new AbortController();
  async function* sendUntilLeft() {
    yield { data: new Uint8Array(3) };
    await delay(60_000, undefined, left).catch(() => {});
  }
  // The system takes each message, and they keep nobody from noticing.
  async function* sendNowAndThen() {
    for (let isOver = false; !isOver;) {
      yield { data: new Uint8Array(3) };
      await delay(200, undefined, left).catch(() => isOver = true);
    }
  }
  const download = probe.hang({})[Symbol.asyncIterator]();
  const exchange = probe.exchange(sendUntilLeft())[Symbol.asyncIterator]();
  await Promise.all([download.next(), exchange.next(), probe.echo({})]);
  const calls = {
    unary: probe.hangUnary({}),
    "server streaming": download.next(),
    "client streaming": probe.upload(sendUntilLeft()),
    "client streaming, with a message now and then": probe.upload(sendNowAndThen()),
    "bidirectional": exchange.next(),
  };
  // They have left: a call that came after them is answered.
  await probe.echo({});
  relay.silence();
  const started = performance.now();
  const kinds = { ...calls, "unary, made on the silent connection": probe.echo({}) };
  await Promise.all(
    Object.entries(kinds).map(async ([kind, call]) => {
      const error = await call.then(() => undefined, ConnectError.from);
      assert.equal(error?.code, Code.Unavailable, `${kind}: ${error}`);
    }),
  );
  assert.ok(performance.now() - started < NOTICED_MS, `noticed after ${performance.now() - started} ms`);
  await probe.echo({});
  left.abort();
}

/** A server that is about to stop lets its calls end (GOAWAY, RFC 9113, section 6.8), and then is gone. */
async function assertNoticedAfterGoaway(code: number) {
  const kinds = ["unary", "server streaming", "client streaming", "bidirectional"];
  const connected: { readonly frame: WriteFrame; readonly socket: net.Socket }[] = [];
  const taken = Promise.withResolvers<void>();
  let calls = 0, isStopping = false;
  await using server = await startScriptedServer(() => {
    calls++;
    if (calls > kinds.length) taken.resolve();
    // The first shows what the server speaks.
    return calls === 1 || isStopping ? EMPTY : undefined;
  }, { early: true, onConnection: (frame, _connection, socket) => connected.push({ frame, socket }) });
  await using channel = await dialDirect(`127.0.0.1:${server.port}`, {
    insecure: true,
    protocol: "grpc",
    keepAliveMs: 1_000,
  });
  const probe = createClient(ProbeService, channel);
  const open = [
    probe.hangUnary({}),
    Array.fromAsync(probe.hang({})),
    probe.upload(noMessages()),
    Array.fromAsync(probe.exchange(noMessages())),
  ].map((call) => Promise.resolve(call).then(() => undefined, ConnectError.from));
  await taken.promise;
  isStopping = true;
  for (const { frame, socket } of connected) {
    frame(GOAWAY, 0, 0, Uint8Array.of(127, 255, 255, 255, 0, 0, 0, code));
    socket.pause();
  }
  const started = performance.now();
  for (const [index, error] of (await Promise.all(open)).entries()) {
    assert.equal(error?.code, Code.Unavailable, `${kinds[index]}, GOAWAY with ${code}: ${error}`);
  }
  assert.ok(performance.now() - started < NOTICED_MS, `noticed after ${performance.now() - started} ms`);
  await probe.echo({});
}

/** A server that complains on one connection gets fewer pings on the others, too. */
async function assertCalmed() {
  for (;;) {
    const { tookMs, delayMs } = await pingAfterComplaint();
    // The second ping follows two silent seconds instead of one. Timers that fire late say nothing.
    if (tookMs <= 1_500 && delayMs > 200) continue;
    assert.ok(tookMs > 1_500, `pinged after ${tookMs} ms`);
    return;
  }
}

/** The time from a complaint on one of two connections to the second ping on the other one, in milliseconds. */
async function pingAfterComplaint() {
  using delays = watchDelays();
  const connected: WriteFrame[] = [];
  const calls = Promise.withResolvers<void>(), kept = Promise.withResolvers<void>();
  let count = 0, pings = 0;
  await using server = await startScriptedServer(() => {
    if (++count === 3) calls.resolve();
    // The first shows what the server speaks.
    return count === 1 ? EMPTY : undefined;
  }, {
    // One call on each connection.
    settings: Uint8Array.of(0, 3, 0, 0, 0, 1),
    onConnection(frame, _connection, socket) {
      connected.push(frame);
      if (connected.length === 2) {
        socket.on("data", (data: Buffer) => {
          // The first asks half a second after the call.
          if (data.length === 17 && data[3] === PING && data[4] === 0 && ++pings === 2) kept.resolve();
        });
      }
    },
  });
  await using channel = await dialDirect(`127.0.0.1:${server.port}`, {
    insecure: true,
    protocol: "grpc",
    keepAliveMs: 1_000,
  });
  const probe = createClient(ProbeService, channel);
  const left = new AbortController();
  const open = [probe.hangUnary({}, left), probe.hangUnary({}, left)].map((call) => call.catch(() => {}));
  await calls.promise;
  const started = performance.now();
  connected[0]!(GOAWAY, 0, 0, Uint8Array.of(127, 255, 255, 255, 0, 0, 0, 11));
  await kept.promise;
  const tookMs = performance.now() - started;
  left.abort();
  await Promise.all(open);
  return { tookMs, delayMs: delays.longestMs };
}

const PING = 6, GOAWAY = 7;

const EMPTY = {
  headers: [["content-type", "application/grpc"]],
  body: new Uint8Array(5),
  trailers: [["grpc-status", "0"]],
} as const;

async function* noMessages(): AsyncGenerator<{ data: Uint8Array }> {}
