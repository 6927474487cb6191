import type { ClientHttp2Session } from "node:http2";
import { connectionError } from "../core/connection_error.ts";
import { type Endpoint, originOf, targetOf } from "./endpoint.ts";

/** A session that can take calls. */
export interface Session {
  readonly http2: ClientHttp2Session;
  /** Calls on it. */
  open: number;
  /** Set when it takes no more calls: the server said so, or it is gone. */
  draining: boolean;
}

/** Keeps as many sessions as the calls need. */
export interface SessionPool {
  /** A session with room for a call; rejects with `Unavailable` when the server cannot be reached. */
  acquire(): Session | Promise<Session>;
  /** Gives a session back after a call. */
  release(session: Session): void;
  close(): void;
}

/** Most calls that are put on one session, whatever the server allows. */
const MAX_CALLS = 1_000;

/** How long a ping may stay unanswered, in milliseconds. */
const PING_TIMEOUT_MS = 10_000;

/**
 * Sessions of `node:http2` to one server. Bare ones: on Deno a GOAWAY on an idle session of connect-node kills the
 * process.
 */
export async function createSessionPool(endpoint: Endpoint, keepAliveMs: number): Promise<SessionPool> {
  const http2 = await import("node:http2");
  const net = endpoint.unixPath === undefined ? undefined : await import("node:net");
  const target = targetOf(endpoint);
  const sessions = new Set<Session>();
  let connecting: Promise<Session> | undefined;
  let closed = false;

  function connect(): Promise<Session> {
    return new Promise((resolve, reject) => {
      const { ca, cert, key, serverName, rejectUnauthorized, minVersion } = endpoint.tls ?? {};
      const session: Session = {
        http2: http2.connect(originOf(endpoint), {
          ...(net === undefined ? {} : { createConnection: () => net.connect({ path: endpoint.unixPath! }) }),
          ...(endpoint.secure
            ? {
              ALPNProtocols: ["h2"],
              minVersion: minVersion ?? "TLSv1.2",
              ...(ca === undefined ? {} : { ca: typeof ca === "string" ? ca : [...ca] }),
              ...(cert === undefined ? {} : { cert }),
              ...(key === undefined ? {} : { key }),
              ...(serverName === undefined ? {} : { servername: serverName }),
              ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
            }
            : {}),
          settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
          maxSessionMemory: SESSION_MEMORY_MIB,
        }),
        open: 0,
        draining: false,
      };
      sessions.add(session);
      let pinging: ReturnType<typeof setInterval> | undefined;
      const gone = () => {
        session.draining = true;
        sessions.delete(session);
        clearInterval(pinging);
      };
      session.http2.once("connect", () => {
        try {
          session.http2.setLocalWindowSize(SESSION_WINDOW_BYTES);
        } catch {
          // Not every runtime has it; the default window is slower, no more.
        }
        if (keepAliveMs > 0) pinging = keepAlive(session.http2, keepAliveMs);
        resolve(session);
      });
      session.http2.on("goaway", () => {
        session.draining = true;
        if (session.open === 0) session.http2.close();
      });
      session.http2.on("error", (error) => {
        gone();
        reject(connectionError(target, error));
      });
      session.http2.on("close", () => {
        gone();
        reject(connectionError(target, new Error("connection closed")));
      });
    });
  }

  function acquire(): Session | Promise<Session> {
    for (const session of sessions) {
      if (session.draining || session.http2.destroyed || session.http2.closed || session.http2.connecting) {
        continue;
      }
      const allowed = session.http2.remoteSettings?.maxConcurrentStreams ?? MAX_CALLS;
      if (session.open < Math.min(allowed, MAX_CALLS)) {
        if (session.open++ === 0) session.http2.ref();
        return session;
      }
    }
    if (closed) return Promise.reject(connectionError(target, new Error("the channel is closed")));
    const pending = connecting ??= connect().finally(() => {
      connecting = undefined;
    });
    return pending.then(acquire);
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
      for (const session of sessions) session.http2.destroy();
      sessions.clear();
    },
  };
}

/**
 * Flow-control windows: what a fast link needs at a round trip of some 20 ms. The session's is twice a stream's and no
 * more: Bun gives a stream's window back after half of the session's has been read, which must not be more than the
 * stream's own.
 */
const WINDOW_BYTES = 4 * 1024 * 1024;
const SESSION_WINDOW_BYTES = 2 * WINDOW_BYTES;

/** What a session may hold, in MiB: several messages of the largest size. By default 10, and new calls are refused. */
const SESSION_MEMORY_MIB = 256;

function keepAlive(session: ClientHttp2Session, keepAliveMs: number): ReturnType<typeof setInterval> {
  const interval = setInterval(() => {
    if (session.destroyed || session.closed) return clearInterval(interval);
    const timer = setTimeout(() => session.destroy(), PING_TIMEOUT_MS);
    unref(timer);
    session.ping(() => clearTimeout(timer));
  }, keepAliveMs);
  unref(interval);
  return interval;
}

/** Timers of idle sessions do not keep the process alive. */
function unref(timer: unknown): void {
  if (typeof timer === "number") {
    (globalThis as unknown as { Deno?: { unrefTimer(id: number): void } }).Deno?.unrefTimer(timer);
  } else {
    (timer as { unref?(): void }).unref?.();
  }
}
