import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers";
import { Http2FrameFilter } from "../core/http2/frame_filter.ts";
import { withoutGoaway } from "../core/http2/goaway.ts";
import { InitialWindow } from "../core/http2/initial_window.ts";
import { calmerTimes, KeepAlive, type PingTimes, TICK_MS } from "../core/http2/keep_alive.ts";
import { LongFields } from "../core/http2/long_fields.ts";
import { MAX_HEADER_LIST_BYTES, MAX_METADATA_ENTRIES } from "../core/limits.ts";
import { connectionError, connectionFailure } from "../core/net/connection_error.ts";
import { describeTarget, urlOf } from "../core/net/target.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";
import type { Endpoint } from "./endpoint.ts";
import { type FilteredSocket, filteredSocket } from "./filtered_socket.ts";
import { type SessionLife, watchSession } from "./session_life.ts";

/** A session that can take calls. */
export interface Session {
  readonly http2: ClientHttp2Session;
  /** True if it has the socket itself, and no filter in between. */
  readonly raw: boolean;
  /** Calls on it. */
  open: number;
  /** Most calls that it takes at a time: what the server announced, or fewer, where it refused one. */
  limit: number;
  /** Set when it takes no more calls: the server said so, or it is gone. */
  draining: boolean;
  /** The last stream that the server has taken, once it has said so. */
  lastStreamId: number;
  /** The error that broke its connection, if known. */
  failure: Error | undefined;
  /** Names the cause of an error of its connection, where that is known. */
  explain(error: NodeJS.ErrnoException): Error;
  /** Set when anything comes, or what had to wait goes out: it is alive. */
  heard: boolean;
  /** Notes a sign of life. */
  hear(): void;
  /** Looks at whether it is alive so far. */
  looks: number;
  /** Set when the server's settings have come: somebody speaks there. */
  isSettled: boolean;
  /** Tells whether the server can be trusted; undefined where it is not to be pinged. */
  readonly life: SessionLife | undefined;
  /** Streams of the calls on it. */
  readonly streams: Set<ClientHttp2Stream>;
  /** Takes note of a stream that has been opened. */
  opened(stream: ClientHttp2Stream): void;
}

/** Most calls that are put on one session, whatever the server allows. */
const MAX_CALLS = 1_000;

/** Parts that a session is started with. */
export interface SessionStart {
  readonly endpoint: Endpoint;
  readonly runtime: Runtime;
  readonly protocol?: "grpc" | "grpc-web";
  readonly socket: Socket;
  readonly raw: boolean;
  /** Calls that the server's other sessions take at a time: it takes no more until the server says so. */
  readonly limit: number;
  /** Times of the pings of all sessions with this server. */
  readonly keepAlive: { times: PingTimes };
  /** A round trip as connecting took it, in milliseconds. */
  readonly roundTripMs: number;
  /** Told when the server is suspected to be gone, and when it is not any more; and when it takes no more calls. */
  readonly onVerdict: () => void;
  /** Told when the session may take more calls. */
  readonly onSettled: (session: Session) => void;
  /** Told once when it ends. */
  readonly onGone: (session: Session) => void;
}

const NGHTTP2_ERR_PROTO = -505;

/** The code of a failure that the filter of a session may prevent. */
const UNREADABLE = "ERR_HTTP2_UNREADABLE";

const UNREADABLE_TEXT =
  "the server broke a rule of HTTP/2, or sent a header of over 64 KiB, such as the text of an error: " +
  "the next connections leave such headers out; let the server send shorter ones";

/** True if what the server sent ended a session without a filter: a header of over 64 KiB does. */
export function isUnreadable({ failure }: Session): boolean {
  return (failure as NodeJS.ErrnoException | undefined)?.code === UNREADABLE;
}

/** Loads `node:http2`, beside the connection that it is for. */
export function loadHttp2(): Promise<typeof import("node:http2")> {
  return import("node:http2");
}

/**
 * Starts a session of `node:http2` on a socket. A bare one: on Deno a GOAWAY on an idle session of connect-node kills
 * the process. Rejects with `Unavailable` when the connection is lost before it is there.
 */
export async function startSession(start: SessionStart): Promise<Session> {
  const { endpoint, runtime, socket, raw, keepAlive } = start;
  const { times } = keepAlive;
  const http2 = await loadHttp2();
  const target = describeTarget(endpoint);
  return await new Promise((resolve, reject) => {
    let filtered: FilteredSocket | undefined;
    const window = runtime === "bun" ? new InitialWindow(openStreams) : undefined;
    const session: Session = {
      http2: http2.connect(urlOf(endpoint), {
        createConnection: () => raw ? socket : filtered = filteredSocket(socket, filterOf()),
        settings: {
          initialWindowSize: WINDOW_BYTES,
          enablePush: false,
          maxHeaderListSize: MAX_HEADER_LIST_BYTES,
        },
        maxSessionMemory: SESSION_MEMORY_MIB,
        maxHeaderListPairs: MAX_METADATA_ENTRIES,
        strictFieldWhitespaceValidation: false,
        // Checks of each request for names that come twice, which ours do where a program says so.
        ...{ strictSingleValueFields: false },
      }),
      raw,
      open: 0,
      limit: start.limit,
      draining: false,
      lastStreamId: Infinity,
      failure: undefined,
      explain(error) {
        if (error.code !== "ERR_HTTP2_ERROR") return error;
        if (session.isSettled) {
          return raw && error.errno === NGHTTP2_ERR_PROTO
            ? connectionFailure(UNREADABLE, UNREADABLE_TEXT, { cause: error })
            : error;
        }
        // The page of a server that speaks gRPC-Web over HTTP/1.1 alone, read as frames.
        return start.protocol === "grpc-web"
          ? connectionFailure("ERR_HTTP2_EXPECTED", error.message, { cause: error })
          : error;
      },
      heard: false,
      hear() {
        session.heard = true;
        life?.heard();
      },
      isSettled: false,
      get life() {
        return life;
      },
      looks: 0,
      streams: new Set(),
      opened(stream) {
        session.streams.add(stream);
        const update = stream.id === undefined ? undefined : window?.opened(stream.id);
        if (update !== undefined) filtered?.insert(update);
      },
    };
    const life = times.intervalMs === 0 ? undefined : watchSession(session.http2, {
      ...start,
      questionMs: () => keepAlive.times.questionMs,
      onLook: () => session.looks++,
    });
    socket.on("error", (error) => session.failure ??= session.explain(error));
    function filterOf(): Http2FrameFilter {
      if (runtime === "node") return new Http2FrameFilter("server", new LongFields());
      const own = window ?? withoutGoaway((lastStreamId, code, debugData) => {
        goaway(code, lastStreamId, debugData);
        // As node does, refuses the streams that the server has not taken, once what came before is read.
        setImmediate(() => {
          for (const stream of session.streams) {
            if (stream.id !== undefined && stream.id > lastStreamId) stream.close(REFUSED_STREAM);
          }
        });
      });
      return new Http2FrameFilter("server", own, new LongFields());
    }
    function* openStreams(): Generator<number> {
      for (const { id } of session.streams) if (id !== undefined) yield id;
    }
    let pinging: ReturnType<typeof setInterval> | undefined;
    let isGone = false;
    function gone(): void {
      session.draining = true;
      clearInterval(pinging);
      life?.stop();
      if (!isGone) start.onGone(session);
      isGone = true;
    }
    function goaway(code: number, lastStreamId: number, debugData?: Uint8Array): void {
      session.lastStreamId = lastStreamId;
      const calmer = calmerTimes(times, code);
      if (calmer !== undefined) {
        // Another session may have been told before, for the same pings.
        if (calmer.intervalMs > keepAlive.times.intervalMs) keepAlive.times = calmer;
        session.failure ??= connectionFailure(
          "ECONNRESET",
          `the server found the HTTP/2 pings too many (${
            new TextDecoder().decode(debugData)
          }): keepAliveMs was ` +
            `${times.intervalMs}, and is ${keepAlive.times.intervalMs} from now on`,
        );
      }
      session.draining = true;
      if (session.open === 0) session.http2.close();
      start.onVerdict();
    }
    session.http2.once("connect", () => {
      session.http2.setLocalWindowSize(SESSION_WINDOW_BYTES);
      if (times.intervalMs > 0) pinging = watch(session, keepAlive);
      resolve(session);
    });
    session.http2.on("remoteSettings", ({ maxConcurrentStreams = MAX_CALLS }) => {
      session.limit = Math.min(maxConcurrentStreams, MAX_CALLS);
      session.isSettled = true;
      start.onSettled(session);
    });
    session.http2.on("goaway", (code, lastStreamId, debugData) => {
      goaway(code, lastStreamId, debugData);
      if (session.open > 0) outlive(session.http2);
    });
    session.http2.on("error", (error) => {
      session.failure ??= session.explain(error);
      gone();
      reject(connectionError(target, session.failure));
    });
    session.http2.on("close", () => {
      gone();
      // Bun ends it only, and then waits for the other side, which keeps the process alive where nobody is there.
      socket.destroy();
      reject(connectionError(target, connectionFailure("ECONNRESET", "connection closed")));
    });
  });
}

/** Resolves when the server answers a ping; rejects when the session ends before. */
export function pong(http2: ClientHttp2Session): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const lost = () => reject(connectionFailure("ECONNRESET", "connection closed"));
  http2.once("close", lost);
  if (http2.destroyed || !http2.ping((error) => error === null ? resolve() : reject(error))) lost();
  return promise.finally(() => http2.off("close", lost));
}

/**
 * Keeps a session for the calls that its server still answers after a GOAWAY. node:http2 ends it right after the event:
 * with an error code at once, otherwise after its calls, which nobody pings for meanwhile.
 */
function outlive(http2: ClientHttp2Session): void {
  const { close, destroy } = http2;
  http2.close = http2.destroy = () => Object.assign(http2, { close, destroy });
}

const REFUSED_STREAM = 7;

/**
 * Flow-control windows: what a fast link needs at a round trip of some 20 ms. The session's is twice a stream's and no
 * more: Bun gives a stream's window back after half of the session's has been read, which must not be more than the
 * stream's own.
 */
const WINDOW_BYTES = 4 * 1024 * 1024;
const SESSION_WINDOW_BYTES = 2 * WINDOW_BYTES;

/** Memory of a session, in MiB: several messages of the largest size. At node's 10, new calls are refused. */
const SESSION_MEMORY_MIB = 256;

/** Pings a session in silence, and ends it when no answer comes. */
function watch(
  session: Session,
  keepAlive: { readonly times: PingTimes },
): ReturnType<typeof setInterval> {
  const state = new KeepAlive();
  const interval = setInterval(() => {
    const { http2 } = session;
    if (http2.destroyed || http2.closed) return clearInterval(interval);
    const todo = state.look(session.heard, keepAlive.times.intervalMs);
    session.heard = false;
    session.looks++;
    if (todo === "ping") http2.ping(() => session.hear());
    else if (todo === "lost") http2.destroy(connectionFailure("ECONNRESET", "a ping was not answered"));
  }, TICK_MS);
  // An idle session does not keep the process alive.
  unrefTimer(interval);
  return interval;
}
