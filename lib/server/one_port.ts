import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import { goawayFilter } from "../core/http2/goaway.ts";
import { filteredSocket } from "../direct/filtered_socket.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { settlesWithin } from "../runtime/wait.ts";
import { sendUnindexed } from "./unindexed_headers.ts";
import type { HttpHandler } from "./wire.ts";

/** TLS settings of a server. All are PEM. */
export interface ServerTls {
  /** The certificate, followed by its intermediate certificates. */
  readonly cert: string;
  /** The certificate's private key. */
  readonly key: string;
  /** Authorities that sign client certificates. */
  readonly ca?: string;
  /** Requires a client certificate, signed by one of `ca`. */
  readonly requestCertificate?: boolean;
}

/** Settings of a port. */
export interface OnePortOptions {
  readonly hostname: string;
  /** The port; 0 for any that is free. */
  readonly port: number;
  /** Serves TLS only if set, and plaintext only if not. */
  readonly tls?: ServerTls | undefined;
  readonly handler: HttpHandler;
  readonly runtime: Runtime;
  /** Returns true to leave a new connection without an answer. */
  readonly silent: () => boolean;
  /** Flow-control window of HTTP/2 uploads, in bytes; 4 MiB by default. */
  readonly windowBytes?: number;
}

/** A port that speaks HTTP/1.1 and HTTP/2. */
export interface OnePort {
  readonly port: number;
  /** Drops every connection, and keeps listening. */
  drop(): void;
  /** Stops listening and drops every connection, within a bounded time. */
  close(): Promise<void>;
}

/** As `node:http2` has it: its requests and responses differ from those of `node:http` in what no handler uses. */
type Http2Handler = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void;

/** Time for the first bytes of a new connection, in milliseconds: goutils' header read timeout. */
const FIRST_BYTES_TIMEOUT_MS = 10_000;

/** Time that a close waits for listeners and sockets, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

const TLS_HANDSHAKE_RECORD = 0x16;

/**
 * Flow-control windows, in bytes. With the default of 64 KiB, an upload in messages of that size waits 40 ms for each.
 */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** Memory of a session, in MiB: several messages of the largest size. With the default of 10, new calls are refused. */
const SESSION_MEMORY_MIB = 256;

/**
 * The answer to the other protocol. The Viam Python SDK sends every server a TLS ClientHello first, so this is routine.
 * The socket must be destroyed: one that is only ended keeps its unread ClientHello, and stays open.
 */
const REFUSAL = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/**
 * Listens on one TCP port for HTTP/1.1 and HTTP/2, as a machine does; the first bytes of a connection decide. The
 * socket is handed to the server of that protocol. On Deno, plaintext HTTP/1.1 is piped to an inner listener on
 * loopback instead, because there a server that is handed sockets drops request bodies under load.
 */
export async function listenOnOnePort(options: OnePortOptions): Promise<OnePort> {
  const { hostname, windowBytes = WINDOW_BYTES } = options;
  const handler = options.handler as HttpHandler & Http2Handler;
  const session = {
    maxSessionMemory: SESSION_MEMORY_MIB,
    settings: { initialWindowSize: windowBytes },
  };
  const sockets = new Set<net.Socket>();
  const sessions = new Set<http2.ServerHttp2Session>();
  const closers: (() => Promise<void>)[] = [];

  const track = (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // A broken connection is reported to its calls by their own streams.
    socket.on("error", () => {});
  };

  const accept: Acceptor = options.tls === undefined ? await plaintext() : await secure(options.tls);

  /** Accepts plaintext connections: `multiplexed` for HTTP/2, `simple` for HTTP/1.1. */
  async function clear(): Promise<
    { multiplexed: (socket: net.Socket) => void; simple: (socket: net.Socket) => void }
  > {
    const multiplexed = trackSessions(http2.createServer(session, handler));
    const simple = http.createServer(handler);
    withoutTimeouts(simple);
    simple.on("clientError", (_error, socket) => socket.destroy());
    const isDeno = options.runtime === "deno";
    return {
      multiplexed(socket) {
        multiplexed.emit("connection", isDeno ? filteredSocket(socket, goawayFilter("client")) : socket);
      },
      simple: isDeno ? await pipeTo(simple) : (socket) => void simple.emit("connection", socket),
    };
  }

  async function plaintext(): Promise<Acceptor> {
    const { multiplexed, simple } = await clear();
    return (socket, first) => {
      if (first[0] === TLS_HANDSHAKE_RECORD) refuse(socket);
      else if (first.toString("latin1", 0, 3) === "PRI") multiplexed(socket);
      else simple(socket);
    };
  }

  async function secure(settings: ServerTls): Promise<Acceptor> {
    const { cert, key, ca, requestCertificate = false } = settings;
    const tlsOptions = {
      cert,
      key,
      ...(ca === undefined ? {} : { ca }),
      requestCert: requestCertificate,
      rejectUnauthorized: requestCertificate,
    };
    let server: tls.Server;
    if (options.runtime === "deno") {
      const { multiplexed, simple } = await clear();
      server = tls.createServer({ ...tlsOptions, ALPNProtocols: ["h2", "http/1.1"] });
      server.on("secureConnection", (socket) => {
        (socket.alpnProtocol === "h2" ? multiplexed : simple)(socket);
      });
    } else {
      const settled = { ...session, ...tlsOptions, allowHTTP1: true };
      const both = trackSessions(http2.createSecureServer(settled, handler));
      // On Node it has the timeouts of HTTP/1.1 as well, though not in its type.
      withoutTimeouts(both as typeof both & Http1Timeouts);
      server = both;
    }
    server.on("secureConnection", track);
    server.on("tlsClientError", (_error: Error, socket: net.Socket | undefined) => socket?.destroy());
    return (socket, first) => {
      if (first[0] === TLS_HANDSHAKE_RECORD) server.emit("connection", socket);
      else refuse(socket);
    };
  }

  function trackSessions<S extends http2.Http2Server | http2.Http2SecureServer>(server: S): S {
    if (options.runtime === "bun") sendUnindexed(server, http2.sensitiveHeaders);
    server.on("session", (session: http2.ServerHttp2Session) => {
      sessions.add(session);
      // On Bun this stalls uploads.
      if (options.runtime !== "bun") session.setLocalWindowSize(windowBytes);
      session.on("close", () => sessions.delete(session));
      session.on("error", () => {});
    });
    server.on("sessionError", () => {});
    return server;
  }

  /** @returns A function that passes a socket to the server through loopback. */
  async function pipeTo(server: http.Server): Promise<(socket: net.Socket) => void> {
    const port = await listen(server, "127.0.0.1", 0);
    closers.push(() => {
      server.closeAllConnections();
      return closed(server);
    });
    return (socket) => {
      const inner = net.connect({ host: "127.0.0.1", port, noDelay: true });
      track(inner);
      socket.on("close", () => inner.destroy());
      inner.on("close", () => socket.destroy());
      socket.pipe(inner);
      inner.pipe(socket);
    };
  }

  const front = net.createServer({ noDelay: true }, (socket) => {
    track(socket);
    if (options.silent()) socket.resume();
    else sniff(socket, accept);
  });
  const port = await listen(front, hostname, options.port).catch(async (error) => {
    await Promise.all(closers.map((close) => close()));
    throw error;
  });

  function drop(): void {
    for (const session of sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
  }

  return {
    port,
    drop,
    async close() {
      const listening = closed(front);
      drop();
      const gone = Array.from(sockets, (socket) => new Promise((resolve) => socket.once("close", resolve)));
      const all = Promise.all([listening, ...gone, ...closers.map((close) => close())]);
      await settlesWithin(CLOSE_TIMEOUT_MS, all);
    },
  };
}

/** Accepts a socket whose first bytes are known and still unread. */
type Acceptor = (socket: net.Socket, first: Buffer) => void;

function sniff(socket: net.Socket, accept: Acceptor): void {
  socket.setTimeout(FIRST_BYTES_TIMEOUT_MS, () => socket.destroy());
  let first = Buffer.alloc(0);
  const look = () => {
    const more: Buffer | null = socket.read();
    if (more === null) return;
    first = Buffer.concat([first, more]);
    // Three bytes tell "PRI" from "POST" or "PUT". Fewer are kept here: put back, they would be readable at once.
    if (first.length < 3 && first[0] !== TLS_HANDSHAKE_RECORD) return;
    socket.unshift(first);
    socket.off("readable", look);
    socket.off("end", ended);
    socket.setTimeout(0);
    socket.removeAllListeners("timeout");
    accept(socket, first);
  };
  const ended = () => socket.destroy();
  socket.on("readable", look);
  socket.on("end", ended);
}

function refuse(socket: net.Socket): void {
  socket.resume();
  socket.end(REFUSAL, () => socket.destroy());
}

type Http1Timeouts = Pick<http.Server, "requestTimeout" | "keepAliveTimeout">;

/** Removes timeouts: streams may be silent and clients idle for any time. */
function withoutTimeouts(server: Http1Timeouts): void {
  server.requestTimeout = 0;
  server.keepAliveTimeout = 0;
}

async function listen(server: net.Server, hostname: string, port: number): Promise<number> {
  server.listen(port, hostname);
  await once(server, "listening");
  return (server.address() as net.AddressInfo).port;
}

function closed(server: net.Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
