import { createHmac, randomBytes } from "node:crypto";
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers";
import { crc32 } from "node:zlib";
import { messageOf } from "../core/error_message.ts";
import { nominatingMessage, readRelayedCheck, type RelayedCheck } from "../core/ice/relayed_nomination.ts";
import { readTurnMessage, refuseAllocate, toStream, TurnStreamReader } from "../core/ice/turn_framing.ts";
import type { ChosenProxy } from "../core/net/proxy.ts";
import { type ProxyFailure, proxyFailureOf } from "../core/net/proxy_error.ts";
import { type ConnectOptions, openConnection } from "../net/connection.ts";
import { abortable } from "../runtime/abortable.ts";
import { isPermitted } from "../runtime/permission.ts";

/** A TURN server and its transport. */
export interface TurnUpstream {
  readonly hostname: string;
  readonly port: number;
  /** "tls" is TURN over TLS over TCP. */
  readonly wire: "udp" | "tcp" | "tls";
  /** Settings of TLS. */
  readonly tls?: ConnectOptions["tls"];
  /** The proxy to connect through, over TCP and TLS. */
  readonly proxy?: ChosenProxy | undefined;
  /** Lets the server send the engine to another one, which the engine asks over UDP, without this relay. */
  readonly redirects?: boolean;
}

/** A report of a relay. */
export type TurnRelayEvent =
  /** The relay is connected to the server. */
  | { readonly type: "connected" }
  /** The engine got a relay address from the server. */
  | { readonly type: "allocated"; readonly relayAddress: string | undefined }
  /** The server cannot be reached, or sends the engine elsewhere: there will be no relay address. */
  | { readonly type: "failed"; readonly reason: string; readonly proxyFailure?: ProxyFailure }
  /** The connection is lost, and the relay address with it. */
  | { readonly type: "lost"; readonly reason: string };

/** A UDP port on loopback that leads to a TURN server. */
export interface TurnRelay {
  readonly port: number;
  /**
   * Nominates the engine's path to `peer`, `host:port`, by a check of its own that repeats the engine's last one there.
   * Does nothing if the engine has checked no such path.
   *
   * @param password The machine's ICE password.
   */
  nominate(peer: string, password: string): void;
  /** Passes on the last messages of the engine, and closes. Never rejects. */
  close(): Promise<void>;
}

/** Limit of the connection to the server, in milliseconds. */
const CONNECT_TIMEOUT_MS = 8_000;

/** Most datagrams that wait for the connection: an engine only repeats its first request until then. */
const MAX_WAITING = 16;

/** Bytes that the stream may hold; more is dropped, as a full queue of datagrams would do. */
const MAX_BUFFERED_BYTES = 262_144;

/** Most paths whose last check is remembered; the engine has fewer candidates. */
const MAX_CHECKS = 64;

/** Time that a close waits for the engine's last messages, and for the stream to take them, in milliseconds. */
const LAST_WORDS_MS = 50;
const CLOSE_TIMEOUT_MS = 200;

/** A connection to the server over any transport. */
interface Upstream {
  send(datagram: Uint8Array): void;
  close(): Promise<void>;
}

/**
 * Opens a port that a WebRTC engine can use as a TURN server over UDP, and passes its messages to a server over UDP,
 * TCP or TLS. It needs no credentials and does not change messages: their integrity covers every byte. It may add a
 * check that nominates a path.
 *
 * Only the first process that asks for a relay address is served. Once there is one, the relay does not reconnect,
 * since the address belongs to the connection.
 */
export async function openTurnRelay(
  target: TurnUpstream,
  report: (event: TurnRelayEvent) => void,
): Promise<TurnRelay> {
  const local = await bind("127.0.0.1", "udp4");
  let enginePort: number | undefined;
  let waiting: Uint8Array[] | undefined = [];
  let allocated = false;
  let dead = false;
  let closing: Promise<void> | undefined;
  let upstream: Upstream | undefined;
  /** The engine's last check of each path, by its other end. */
  const checks = new Map<string, RelayedCheck>();
  const stop = new AbortController();

  function toEngine(message: Uint8Array): void {
    if (enginePort !== undefined && closing === undefined) local.send(message, enginePort, "127.0.0.1");
  }

  function refuse(request: Uint8Array): void {
    const answer = refuseAllocate(request);
    if (answer !== undefined) toEngine(answer);
  }

  function end(reason: string, proxyFailure?: ProxyFailure): void {
    if (dead || closing !== undefined) return;
    dead = true;
    const blame = proxyFailure === undefined ? {} : { proxyFailure };
    report(allocated ? { type: "lost", reason } : { type: "failed", reason, ...blame });
    for (const request of waiting ?? []) refuse(request);
    waiting = undefined;
    void upstream?.close();
  }

  function fromServer(message: Uint8Array): void {
    const read = readTurnMessage(message);
    if (read?.kind === "tryAlternate" && target.redirects !== true) {
      toEngine(refuseAllocate(message)!);
      return end("it wants another server to be asked");
    }
    if (read?.kind === "allocated" && !allocated) {
      allocated = true;
      report({ type: "allocated", relayAddress: read.relayAddress });
    }
    toEngine(message);
  }

  local.on("message", (datagram, { port, address }) => {
    if (address !== "127.0.0.1") return;
    const kind = readTurnMessage(datagram)?.kind;
    if (kind === undefined) return;
    if (enginePort === undefined) {
      if (kind !== "allocate") return;
      enginePort = port;
    } else if (port !== enginePort) return;
    if (dead) return refuse(datagram);
    if (kind === "other") {
      const check = readRelayedCheck(datagram);
      if (check !== undefined && (checks.has(check.peer) || checks.size < MAX_CHECKS)) {
        checks.set(check.peer, check);
      }
    }
    if (upstream !== undefined) upstream.send(datagram);
    else if (waiting !== undefined && waiting.length < MAX_WAITING) waiting.push(Uint8Array.from(datagram));
  });
  local.on("error", (error) => end(error.message));

  const open = target.wire === "udp" ? openDatagrams : openStream;
  const opening = open(target, stop.signal, fromServer, end).then(async (opened) => {
    if (dead || closing !== undefined) return await opened.close();
    upstream = opened;
    report({ type: "connected" });
    for (const datagram of waiting ?? []) opened.send(datagram);
    waiting = undefined;
  }, (error) => end(messageOf(error), proxyFailureOf(error)));

  return {
    port: local.address().port,
    nominate(peer, password) {
      const check = checks.get(peer);
      if (check === undefined || dead || closing !== undefined) return;
      const sign = (bytes: Uint8Array) => createHmac("sha1", password).update(bytes).digest();
      upstream?.send(nominatingMessage(check, randomBytes(12), sign, crc32));
    },
    close() {
      closing ??= (async () => {
        // The peer connection has closed, and its last messages may still be in the socket.
        if (allocated && !dead) {
          await new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS));
          // On a busy computer the timer may fire before the loop has read the socket.
          await new Promise((resolve) => setImmediate(resolve));
        }
        stop.abort();
        await Promise.all([new Promise<void>((resolve) => local.close(() => resolve())), opening]);
        await upstream?.close();
      })();
      return closing;
    },
  };
}

async function bind(address: string, type: "udp4" | "udp6"): Promise<DatagramSocket> {
  // Without the permission Deno throws where nobody can catch it, which would end the process.
  if (!isPermitted({ name: "net", host: address })) throw new Error(`needs --allow-net=${address}`);
  const socket = createSocket(type);
  socket.bind({ port: 0, address });
  await once(socket, "listening");
  return socket;
}

type OpenUpstream = (
  target: TurnUpstream,
  signal: AbortSignal,
  receive: (message: Uint8Array) => void,
  end: (reason: string) => void,
) => Promise<Upstream>;

const openStream: OpenUpstream = async (target, signal, receive, end) => {
  const socket = await connect(target, signal);
  socket.setNoDelay(true);
  const reader = new TurnStreamReader();
  socket.on("data", (chunk: Uint8Array) => {
    try {
      for (const message of reader.push(chunk)) receive(message);
    } catch (error) {
      socket.destroy();
      end((error as Error).message);
    }
  });
  socket.on("error", (error) => end(error.message));
  socket.on("close", () => end("the server closed the connection"));
  return {
    send(datagram) {
      const framed = toStream(datagram);
      if (framed === undefined) return;
      const isFull = socket.writableLength > MAX_BUFFERED_BYTES;
      if (isFull && readTurnMessage(datagram)?.kind === "data") return;
      // A copy, because the runtime may reuse the datagram's memory before the socket has written it.
      socket.write(framed === datagram ? Uint8Array.from(framed) : framed);
    },
    close: () =>
      new Promise((resolve) => {
        if (socket.destroyed) return resolve();
        const timer = setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS);
        socket.once("close", () => {
          clearTimeout(timer);
          resolve();
        });
        socket.end();
      }),
  };
};

function connect(target: TurnUpstream, signal: AbortSignal): Promise<Socket> {
  const tls = target.wire === "tls" ? { rejectUnauthorized: true, ...target.tls } : undefined;
  return openConnection(target, { signal, timeoutMs: CONNECT_TIMEOUT_MS, tls });
}

const openDatagrams: OpenUpstream = async ({ hostname, port }, signal, receive, end) => {
  const { address, family } = await abortable(lookup(hostname), signal);
  const socket = await bind(family === 6 ? "::" : "0.0.0.0", family === 6 ? "udp6" : "udp4");
  socket.on("message", (datagram, from) => {
    if (from.address === address && from.port === port) receive(datagram);
  });
  socket.on("error", (error) => end(error.message));
  let closing: Promise<void> | undefined;
  return {
    send: (datagram) => socket.send(datagram, port, address),
    close: () => closing ??= new Promise((resolve) => socket.close(() => resolve())),
  };
};
