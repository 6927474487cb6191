import assert from "node:assert/strict";
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { toStream, TurnStreamReader } from "../../lib/core/ice/turn_framing.ts";
import { openTurnBridge } from "../../lib/webrtc/turn_bridge.ts";
import { openTurnRelay, type TurnRelayEvent, type TurnUpstream } from "../../lib/webrtc/turn_relay.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

const TRANSACTION = "0102030405060708090a0b0c";
const ALLOCATE = bytes(`0003 0000 2112a442 ${TRANSACTION}`);
/** Gives the relay address 192.0.2.1:32853. */
const ALLOCATED = bytes(`0103 000c 2112a442 ${TRANSACTION} 0016 0008 0001 a147 e112a643`);
const TRY_ALTERNATE = bytes(`0113 0008 2112a442 ${TRANSACTION} 0009 0004 00000300`);
/** A check of 192.0.2.1:32853: a Binding request without attributes, in a Send indication. */
const CHECK = bytes(
  `0016 0024 2112a442 ${TRANSACTION} 0012 0008 0001 a147 e112a643 0013 0014 0001 0000 2112a442 ${TRANSACTION}`,
);
const DATA = bytes("4001 0005 6869206869");

/** A server's side of a TURN connection. */
interface Upstream extends AsyncDisposable {
  readonly target: TurnUpstream;
  /** Connections so far. */
  readonly connections: readonly Socket[];
  /** The next message that came in, as hexadecimal. */
  next(): Promise<string>;
  send(message: Uint8Array): void;
}

async function listen(tls?: { cert: string; key: string }): Promise<Upstream> {
  const connections: Socket[] = [];
  const messages: string[] = [];
  let wake = Promise.withResolvers<void>();
  const accept = (socket: Socket) => {
    connections.push(socket);
    const reader = new TurnStreamReader();
    socket.on("data", (chunk: Uint8Array) => {
      messages.push(...reader.push(chunk).map((message) => Buffer.from(message).toString("hex")));
      wake.resolve();
      wake = Promise.withResolvers();
    });
    socket.on("error", () => {});
  };
  const server: Server = tls === undefined ? createServer(accept) : createTlsServer(tls, accept);
  if (tls !== undefined) server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    target: {
      hostname: tls === undefined ? "127.0.0.1" : "localhost",
      port: (server.address() as AddressInfo).port,
      wire: tls === undefined ? "tcp" : "tls",
    },
    connections,
    async next() {
      while (messages.length === 0) await wake.promise;
      return messages.shift()!;
    },
    send: (message) => void connections.at(-1)!.write(toStream(message)!),
    async [Symbol.asyncDispose]() {
      for (const socket of connections) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** The engine's side. */
interface Engine extends AsyncDisposable {
  /** Resolves when the datagram is in the socket. */
  send(message: Uint8Array, port: number): Promise<void>;
  next(): Promise<string>;
  /** Datagrams that nobody has asked for. */
  readonly waiting: number;
}

async function engine(): Promise<Engine> {
  const socket: DatagramSocket = createSocket("udp4");
  const received: string[] = [];
  let wake = Promise.withResolvers<void>();
  socket.on("message", (message) => {
    received.push(Buffer.from(message).toString("hex"));
    wake.resolve();
    wake = Promise.withResolvers();
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    send: (message, port) =>
      new Promise((resolve) => socket.send(message, port, "127.0.0.1", () => resolve())),
    async next() {
      while (received.length === 0) await wake.promise;
      return received.shift()!;
    },
    get waiting() {
      return received.length;
    },
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}

/** A relay, and what it reports, one after the other. It is closed with its scope. */
async function relayBy(open: typeof openTurnRelay, target: TurnUpstream) {
  const events: TurnRelayEvent[] = [];
  let wake = Promise.withResolvers<void>();
  const relay = await open(target, (event) => {
    events.push(event);
    wake.resolve();
    wake = Promise.withResolvers();
  });
  return {
    port: relay.port,
    async next() {
      while (events.length === 0) await wake.promise;
      return events.shift()!;
    },
    [Symbol.asyncDispose]: () => relay.close(),
  };
}

const hex = (message: Uint8Array) => Buffer.from(message).toString("hex");

for (
  const [name, open] of [["openTurnBridge()", openTurnBridge], ["openTurnRelay()", openTurnRelay]] as const
) {
  test(`${name} passes messages both ways over TCP, padded on the stream alone`, async () => {
    await using server = await listen();
    await using caller = await engine();
    await using other = await engine();
    await using relay = await relayBy(open, server.target);
    // Nothing but a request for a relay address begins it.
    other.send(DATA, relay.port);
    caller.send(ALLOCATE, relay.port);
    assert.equal(await server.next(), hex(ALLOCATE));
    assert.deepEqual(await relay.next(), { type: "connected" });
    server.send(ALLOCATED);
    assert.equal(await caller.next(), hex(ALLOCATED));
    assert.deepEqual(await relay.next(), { type: "allocated", relayAddress: "192.0.2.1:32853" });
    // Another process on this machine is not served.
    other.send(ALLOCATE, relay.port);
    caller.send(DATA, relay.port);
    assert.equal(await server.next(), hex(DATA));
    server.send(DATA);
    server.send(DATA);
    assert.equal(await caller.next(), hex(DATA));
    assert.equal(await caller.next(), hex(DATA));
    assert.equal(other.waiting, 0);
    assert.equal(server.connections.length, 1);
  });

  test(`${name} repeats the engine's check of a path with a nomination, and none of other paths`, async () => {
    await using server = await listen();
    await using caller = await engine();
    const relay = await open(server.target, () => {});
    try {
      caller.send(ALLOCATE, relay.port);
      await server.next();
      caller.send(CHECK, relay.port);
      assert.equal(await server.next(), hex(CHECK));
      relay.nominate("192.0.2.1:9", "password");
      relay.nominate("192.0.2.1:32853", "password");
      assert.match(
        await server.next(),
        /^0016.{36}001200080001a147e112a6430013.{4}0001.{36}0025000000080014.{40}80280004.{8}$/,
      );
    } finally {
      await relay.close();
    }
  });

  test(`${name} passes on what waits in its socket when it is closed, and frees the connection`, async () => {
    await using server = await listen();
    await using caller = await engine();
    const relay = await open(server.target, () => {});
    caller.send(ALLOCATE, relay.port);
    await server.next();
    server.send(ALLOCATED);
    await caller.next();
    const closed = once(server.connections[0]!, "close");
    await caller.send(DATA, relay.port);
    await relay.close();
    assert.equal(await server.next(), hex(DATA));
    await closed;
  });

  test(`${name} refuses at once what a server that is not there cannot answer`, async () => {
    const server = await listen();
    await server[Symbol.asyncDispose]();
    await using caller = await engine();
    await using relay = await relayBy(open, server.target);
    const failed = await relay.next();
    assert.equal(failed.type, "failed");
    for (let round = 0; round < 2; round++) {
      caller.send(ALLOCATE, relay.port);
      assert.match(await caller.next(), new RegExp(`^0113....2112a442${TRANSACTION}0009....00000500`));
    }
  });

  test(`${name} says that the relay address is lost with the connection, and does not connect again`, async () => {
    await using server = await listen();
    await using caller = await engine();
    await using relay = await relayBy(open, server.target);
    caller.send(ALLOCATE, relay.port);
    await server.next();
    server.send(ALLOCATED);
    await relay.next();
    await relay.next();
    server.connections[0]!.destroy();
    assert.equal((await relay.next()).type, "lost");
    caller.send(ALLOCATE, relay.port);
    await caller.next(); // the answer of before
    assert.match(await caller.next(), /^0113/);
    assert.equal(server.connections.length, 1);
  });
}

test("openTurnBridge() passes messages on while its program computes", async () => {
  await using upstream = await listen();
  await using program = startProgram("tests/webrtc/busy_relay_program.ts", {
    args: [String(upstream.target.port)],
  });
  const port = Number(await program.line());
  const computed = program.line();
  await new Promise((resolve) => setTimeout(resolve, 700));
  await using caller = await engine();
  caller.send(ALLOCATE, port);
  assert.equal(await Promise.race([upstream.next(), computed]), hex(ALLOCATE));
  assert.equal(await computed, "computed");
});

test("openTurnBridge() verifies certificates of TURN over TLS", async () => {
  const certificates = await makeCertificates({ names: ["localhost"] });
  try {
    await using server = await listen(certificates);
    await using caller = await engine();
    const attempt = async (target: Partial<TurnUpstream>, expected: RegExp) => {
      await using relay = await relayBy(openTurnBridge, { ...server.target, ...target });
      const event = await relay.next();
      assert.match("reason" in event ? `${event.type} ${event.reason}` : event.type, expected);
    };
    await attempt({}, /^failed .*certificate/i);
    await attempt(
      { tls: { ca: certificates.ca }, hostname: "127.0.0.1" },
      /^failed .*(certificate|altnames|name)/i,
    );
    await attempt({ tls: { rejectUnauthorized: false } }, /^connected$/);
    await using relay = await relayBy(openTurnBridge, { ...server.target, tls: { ca: certificates.ca } });
    caller.send(ALLOCATE, relay.port);
    assert.equal(await server.next(), hex(ALLOCATE));
    server.send(ALLOCATED);
    assert.equal(await caller.next(), hex(ALLOCATED));
  } finally {
    await certificates.remove();
  }
});

test("openTurnBridge() lets no server send the engine past it", async () => {
  await using server = await listen();
  await using caller = await engine();
  await using relay = await relayBy(openTurnBridge, server.target);
  caller.send(ALLOCATE, relay.port);
  await server.next();
  await relay.next();
  server.send(TRY_ALTERNATE);
  assert.match(await caller.next(), /^0113.*00000500/);
  assert.deepEqual(await relay.next(), { type: "failed", reason: "it wants another server to be asked" });
});

test("openTurnBridge() ends a connection that carries anything but TURN", async () => {
  await using server = await listen();
  await using caller = await engine();
  await using relay = await relayBy(openTurnBridge, server.target);
  caller.send(ALLOCATE, relay.port);
  await server.next();
  await relay.next();
  server.connections[0]!.write("SSH-2.0-OpenSSH\r\n");
  const failed = await relay.next();
  assert.ok(
    failed.type === "failed" && /begins no TURN message/.test(failed.reason),
    JSON.stringify(failed),
  );
});
