import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectionError, connectionFailure } from "../core/net/connection_error.ts";
import { Http2FrameFilter } from "../core/http2/frame_filter.ts";
import { goawayFilter } from "../core/http2/goaway.ts";
import { InitialWindow, SETTINGS } from "../core/http2/initial_window.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";
import { describeTarget, urlOf } from "../core/net/target.ts";
import { type Endpoint, nodeTlsOptions } from "./endpoint.ts";
import { type FilteredSocket, filteredSocket } from "./filtered_socket.ts";

/** A session that can take calls. */
export interface Session {
  readonly http2: ClientHttp2Session;
  /** True if it has the socket itself, and no filter in between. */
  readonly raw: boolean;
  /** Calls on it. */
  open: number;
  /** Set when it takes no more calls: the server said so, or it is gone. */
  draining: boolean;
  /** True once the server's settings have come. */
  settled: boolean;
  /** The error that broke its connection, if known. */
  failure: Error | undefined;
  /** Streams of the calls on it. */
  readonly streams: Set<ClientHttp2Stream>;
  /** Takes note of a stream that has been opened. */
  opened(stream: ClientHttp2Stream): void;
}

/** Keeps as many sessions as the calls need. */
export interface SessionPool {
  /**
   * A session with room for a call; rejects with `Unavailable` when the server cannot be reached.
   *
   * @param short Whether all that the call sends fits into the smallest window that a server begins with.
   */
  acquire(short: boolean): Session | Promise<Session>;
  /** Gives a session back after a call. */
  release(session: Session): void;
  close(): void;
}

/** Most calls that are put on one session, whatever the server allows. */
const MAX_CALLS = 1_000;

/** And before it has said what it allows: no server should allow less (RFC 9113, section 6.5.2). */
const UNSETTLED_CALLS = 100;

/** Time to answer a ping, in milliseconds. */
const PING_TIMEOUT_MS = 10_000;

/** Options of sessions. */
export interface SessionOptions {
  /** Interval of pings, in milliseconds; 0 for none. */
  readonly keepAliveMs: number;
  readonly runtime: Runtime;
  /** Told when a session ends that was not closed from here. */
  readonly onConnectionLost?: () => void;
}

/**
 * Sessions of `node:http2` to one server. Bare ones: on Deno a GOAWAY on an idle session of connect-node kills the
 * process.
 */
export async function createSessionPool(endpoint: Endpoint, options: SessionOptions): Promise<SessionPool> {
  const [http2, { openConnection }] = await Promise.all([
    import("node:http2"),
    import("../net/connection.ts"),
  ]);
  const target = describeTarget(endpoint);
  const tlsOptions: ConnectionOptions | undefined = endpoint.secure
    ? { ALPNProtocols: ["h2"], ...nodeTlsOptions(endpoint.tls ?? {}) }
    : undefined;
  // Bun takes a socket with TLS for one of HTTP/2 over TLS, which has to be negotiated.
  const isTlsForProxy = !endpoint.secure && endpoint.proxy !== undefined &&
    !("problem" in endpoint.proxy.proxy) && endpoint.proxy.proxy.scheme === "https";
  const sessions = new Set<Session>();
  /** Gives up sockets that are being connected. */
  const closing = new AbortController();
  /** By whether it is to be raw. */
  const connecting = new Map<boolean, Promise<Session>>();
  let closed = false;

  /**
   * The socket is ours: a session that is given up while it connects goes on trying, for two minutes perhaps, and
   * keeps the process alive. And on Deno and on Bun some frames must not reach the session.
   */
  async function connect(raw: boolean): Promise<Session> {
    const connecting = openConnection(endpoint, {
      signal: closing.signal,
      tls: tlsOptions,
    });
    const socket = await connecting.catch((error) => {
      throw connectionError(target, error);
    });
    if (closed) socket.destroy();
    return await start(socket, raw);
  }

  function start(socket: Socket, raw: boolean): Promise<Session> {
    return new Promise((resolve, reject) => {
      let filtered: FilteredSocket | undefined;
      const window = options.runtime === "bun" ? new InitialWindow(openStreams) : undefined;
      const session: Session = {
        http2: http2.connect(urlOf(endpoint), {
          createConnection: () => raw ? socket : filtered = filteredSocket(socket, filterOf()),
          settings: {
            initialWindowSize: WINDOW_BYTES,
            enablePush: false,
            maxHeaderListSize: HEADER_LIST_BYTES,
          },
          maxSessionMemory: SESSION_MEMORY_MIB,
          maxHeaderListPairs: HEADER_LIST_BYTES / 32,
          strictFieldWhitespaceValidation: false,
        }),
        raw,
        open: 0,
        draining: false,
        settled: false,
        failure: undefined,
        streams: new Set(),
        opened(stream) {
          session.streams.add(stream);
          const update = stream.id === undefined ? undefined : window?.opened(stream.id);
          if (update !== undefined) filtered?.insert(update);
        },
      };
      sessions.add(session);
      socket.on("error", (error) => session.failure ??= error);
      function filterOf(): Http2FrameFilter {
        return window === undefined
          ? goawayFilter("server", goaway)
          : new Http2FrameFilter("server", SETTINGS, (frame) => window.replace(frame));
      }
      function* openStreams(): Generator<number> {
        for (const { id } of session.streams) if (id !== undefined) yield id;
      }
      let pinging: ReturnType<typeof setInterval> | undefined;
      const gone = () => {
        session.draining = true;
        clearInterval(pinging);
        if (sessions.delete(session) && !closed) options.onConnectionLost?.();
      };
      /** Handles a GOAWAY as node does: refuses the streams that the server has not taken. */
      function goaway(lastStreamId: number): void {
        drain();
        for (const stream of session.streams) {
          if (stream.id !== undefined && stream.id > lastStreamId) stream.close(REFUSED_STREAM);
        }
      }
      function drain(): void {
        session.draining = true;
        if (session.open === 0) session.http2.close();
      }
      session.http2.once("connect", () => {
        try {
          session.http2.setLocalWindowSize(SESSION_WINDOW_BYTES);
        } catch {
          // Not every runtime has it; the default window is slower, no more.
        }
        if (options.keepAliveMs > 0) pinging = keepAlive(session.http2, options.keepAliveMs);
        resolve(session);
      });
      session.http2.once("remoteSettings", () => session.settled = true);
      session.http2.on("goaway", drain);
      session.http2.on("error", (error) => {
        session.failure ??= error;
        gone();
        reject(connectionError(target, error));
      });
      session.http2.on("close", () => {
        gone();
        reject(connectionError(target, connectionFailure("ECONNRESET", "connection closed")));
      });
    });
  }

  /**
   * Bun reads twice as much from a socket as through a filter. But without one it does not hear that windows have
   * become wider, which only what is sent slowly needs.
   */
  function isRaw(short: boolean): boolean {
    return options.runtime === "node" || (options.runtime === "bun" && short && !isTlsForProxy);
  }

  function acquire(short: boolean): Session | Promise<Session> {
    const raw = isRaw(short);
    for (const session of sessions) {
      if (
        session.raw !== raw || session.draining || session.http2.destroyed || session.http2.closed ||
        session.http2.connecting
      ) {
        continue;
      }
      const allowed = session.settled
        ? session.http2.remoteSettings?.maxConcurrentStreams ?? MAX_CALLS
        : UNSETTLED_CALLS;
      if (session.open < Math.min(allowed, MAX_CALLS)) {
        if (session.open++ === 0) session.http2.ref();
        return session;
      }
    }
    if (closed) return Promise.reject(new ConnectError("the channel is closed", Code.Unavailable));
    let pending = connecting.get(raw);
    if (pending === undefined) {
      pending = connect(raw).finally(() => connecting.delete(raw));
      connecting.set(raw, pending);
    }
    return pending.then(() => acquire(short));
  }

  return {
    acquire,
    release(session) {
      session.open--;
      if (session.open > 0) return;
      if (session.draining || closed) session.http2.close();
      // An idle session does not keep the process alive.
      else session.http2.unref();
    },
    close() {
      closed = true;
      closing.abort(connectionFailure("ECONNRESET", "connection closed"));
      for (const session of sessions) session.http2.destroy();
      sessions.clear();
    },
  };
}

const REFUSED_STREAM = 7;

/**
 * Flow-control windows: what a fast link needs at a round trip of some 20 ms. The session's is twice a stream's and no
 * more: Bun gives a stream's window back after half of the session's has been read, which must not be more than the
 * stream's own.
 */
const WINDOW_BYTES = 4 * 1024 * 1024;
const SESSION_WINDOW_BYTES = 2 * WINDOW_BYTES;

const HEADER_LIST_BYTES = 64 * 1024;

/** Memory of a session, in MiB: several messages of the largest size. At node's 10, new calls are refused. */
const SESSION_MEMORY_MIB = 256;

function keepAlive(session: ClientHttp2Session, keepAliveMs: number): ReturnType<typeof setInterval> {
  const interval = setInterval(() => {
    if (session.destroyed || session.closed) return clearInterval(interval);
    const timer = setTimeout(
      () => session.destroy(connectionFailure("ECONNRESET", "a ping was not answered")),
      PING_TIMEOUT_MS,
    );
    unrefTimer(timer);
    session.ping(() => clearTimeout(timer));
  }, keepAliveMs);
  // An idle session does not keep the process alive.
  unrefTimer(interval);
  return interval;
}
