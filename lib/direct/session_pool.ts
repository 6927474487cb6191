import { setImmediate } from "node:timers";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Runtime } from "../runtime/runtime.ts";
import { pingTimes } from "../core/http2/keep_alive.ts";
import { connectionError, connectionFailure } from "../core/net/connection_error.ts";
import { describeTarget } from "../core/net/target.ts";
import { openConnection } from "../net/connection.ts";
import { abortable } from "../runtime/abortable.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";
import type { Endpoint } from "./endpoint.ts";
import { isUnreadable, loadHttp2, pong, type Session, startSession } from "./http2_session.ts";

/** Keeps as many sessions as the calls need. */
export interface SessionPool {
  /**
   * A session with room for a call; rejects with `Unavailable` when the server cannot be reached.
   *
   * @param short True if all that the call sends fits into the smallest window that a server begins with.
   * @param call Waits no longer once it is over.
   */
  acquire(short: boolean, call: { readonly over: boolean }): Session | Promise<Session>;
  /** Gives a session back after a call. */
  release(session: Session): void;
  readonly connection: Connection;
  close(): void;
}

/** The connection below the calls, for those who keep it while they make none. */
export interface Connection {
  /** True if it is there, and takes calls. */
  readonly isOpen: boolean;
  /** Asks the server for a sign of life; connects to it before, if needed. */
  ping(signal: AbortSignal): Promise<void>;
  /** Drops it, and the calls on it: what it leads through may be gone. */
  drop(): void;
  /** Asks whether the server is still there: the computer has slept, or its network has changed. */
  doubt(): void;
}

/** Options of sessions. */
export interface SessionOptions {
  /** Interval of pings, in milliseconds; 0 for none. */
  readonly keepAliveMs: number;
  readonly runtime: Runtime;
  /** The protocol of the calls; a server of gRPC-Web may speak HTTP/1.1 alone. */
  readonly protocol?: "grpc" | "grpc-web";
  /** Told when a session ends that was not closed from here. */
  readonly onConnectionLost?: () => void;
}

/** A call that has no session yet. */
interface Waiting {
  readonly call: { readonly over: boolean };
  readonly short: boolean;
  readonly resolve: (session: Session) => void;
  readonly reject: (error: unknown) => void;
}

/** Connections that are made at a time. */
const MOST_CONNECTING = 8;

/** Connections in a row that may be over before they take a call. */
const MOST_SENT_AWAY = 3;

const CLOSED = connectionFailure("ECONNRESET", "connection closed");

/** Pause before another connection is tried beside a silent one, in milliseconds. */
const AGAIN_MS = 500;

/** Time from the first word on that connection in which the silent one may speak and stay, in milliseconds. */
const LAST_CHANCE_MS = 500;

/** Sessions to one server. A call that finds no room waits for some, and for another connection, whichever is first. */
export function createSessionPool(endpoint: Endpoint, options: SessionOptions): SessionPool {
  const tls = endpoint.secure ? endpoint.tls ?? {} : undefined;
  // Bun takes a socket with TLS for one of HTTP/2 over TLS, which has to be negotiated.
  const isTlsForProxy = !endpoint.secure && endpoint.proxy !== undefined &&
    !("problem" in endpoint.proxy.proxy) && endpoint.proxy.proxy.scheme === "https";
  const sessions = new Set<Session>();
  /** Those that were made beside silent ones and have spoken, each with the last chance of those. */
  const successors = new Map<Session, ReturnType<typeof setTimeout>>();
  const waiting = new Set<Waiting>();
  /** Connections that are being made, by whether they are to be raw. */
  const connecting = new Map<boolean, number>();
  const closing = new AbortController();
  let again: ReturnType<typeof setTimeout> | undefined;
  const keepAlive = { times: pingTimes(options.keepAliveMs) };
  /** Streams that the server allows on a connection; one is safe, until it says so. */
  let limit: number | undefined;
  /** Connections in a row that were over before they took a call. */
  let sentAway = 0;
  /** True once the server has sent what only a filter lets a session survive. */
  let needsFilter = false;

  /**
   * Node and Bun read up to twice as much from a socket as through a filter. But without one Bun does not hear that
   * windows have become wider, which only what is sent slowly needs.
   */
  function isRaw(short: boolean): boolean {
    if (needsFilter) return false;
    return options.runtime === "node" || (options.runtime === "bun" && short && !isTlsForProxy);
  }

  /** Lets sessions without a filter end their calls, and no others, once one is needed. */
  function endRaw(): void {
    if (!needsFilter) return;
    for (const session of sessions) {
      if (!session.raw) continue;
      session.draining = true;
      if (session.open === 0) endIdle(session);
    }
  }

  /** Sessions whose server is suspected to be gone, and that no other has replaced. */
  function suspected(raw: boolean): Session[] {
    return [...sessions].filter((session) =>
      session.raw === raw && !session.draining && session.life?.isSuspected === true
    );
  }

  /** True while a server that may have been lost is asked: whether a connection is needed is known soon. */
  function isDoubted(raw: boolean): boolean {
    return [...sessions].some((session) =>
      session.raw === raw && !session.draining && session.life?.isDoubted === true
    );
  }

  function take(raw: boolean): Session | undefined {
    const isDoubtful = suspected(raw).length > 0;
    for (const session of sessions) {
      const { http2 } = session;
      if (session.raw !== raw || session.open >= session.limit) continue;
      if (session.life?.isDoubted === true) continue;
      // A server that is stopped takes connections, and says nothing.
      if (isDoubtful && (session.life?.isSuspected === true || !session.isSettled)) continue;
      if (session.draining || http2.destroyed || http2.closed || http2.connecting) continue;
      sentAway = 0;
      if (session.open++ === 0) http2.ref();
      session.life?.calling();
      return session;
    }
    return undefined;
  }

  function serve(): void {
    for (const call of waiting) {
      if (call.call.over) {
        waiting.delete(call);
        call.reject(CLOSED);
        continue;
      }
      const session = take(isRaw(call.short));
      if (session === undefined) continue;
      waiting.delete(call);
      call.resolve(session);
    }
    for (const raw of [true, false]) connectFor(raw);
  }

  /** Connects as often as the calls that wait will need, as far as it is known what a connection takes. */
  function connectFor(raw: boolean): void {
    if (closing.signal.aborted || isDoubted(raw)) return;
    let calls = 0;
    for (const call of waiting) if (isRaw(call.short) === raw) calls++;
    let made = connecting.get(raw) ?? 0;
    // One whose settings have not come may take all of them.
    const mayOpen = (session: Session) =>
      session.raw === raw && !session.draining && session.life?.isSuspected !== true;
    const isOpen = [...sessions].some(mayOpen);
    // A server that takes none may take some on its next connection.
    if (limit === 0 && !isOpen) limit = undefined;
    if (suspected(raw).length > 0) {
      made += [...sessions].filter((one) => mayOpen(one) && !one.isSettled).length;
    }
    const needed = limit === 0
      ? 0
      : limit === undefined
      ? Number(calls > 0 && !isOpen)
      : Math.ceil(calls / limit);
    for (; made < Math.min(needed, MOST_CONNECTING); made++) void connect(raw);
  }

  async function connect(raw: boolean): Promise<void> {
    connecting.set(raw, (connecting.get(raw) ?? 0) + 1);
    const { signal } = closing;
    let failure: unknown;
    const isBeside = suspected(raw).length > 0;
    const began = performance.now();
    try {
      // While the connection is being made: what is on its way to the server by then need not wait for it.
      setImmediate(() => void loadHttp2().catch(() => {}));
      const socket = await openConnection(endpoint, { signal, tls, protocols: ["h2"] }).catch((error) => {
        throw connectionError(describeTarget(endpoint), error);
      });
      if (signal.aborted) socket.destroy();
      const session = await startSession({
        ...options,
        endpoint,
        socket,
        raw,
        limit: limit ?? 1,
        keepAlive,
        // TLS takes another one.
        roundTripMs: (performance.now() - began) / (tls === undefined ? 1 : 2),
        onVerdict: serve,
        onSettled(session) {
          limit = session.limit;
          // Whichever speaks first carries the calls that wait.
          if (waiting.size > 0) serve();
          if (isBeside) succeed(session);
        },
        onGone(session) {
          clearTimeout(successors.get(session));
          successors.delete(session);
          if (!sessions.delete(session) || signal.aborted) return;
          needsFilter ||= isUnreadable(session);
          endRaw();
          options.onConnectionLost?.();
          if (waiting.size === 0) return;
          const failure = session.open === 0 ? endOfPatience(session) : undefined;
          if (failure === undefined) serve();
          else failWaiting(raw, failure);
        },
      });
      if (!signal.aborted && !session.draining) {
        sessions.add(session);
        endRaw();
      } else {
        session.http2.destroy();
        failure = endOfPatience(session);
      }
    } catch (error) {
      failure = error;
    } finally {
      connecting.set(raw, connecting.get(raw)! - 1);
    }
    if (failure === undefined) return serve();
    if (suspected(raw).length > 0 && !signal.aborted) {
      clearTimeout(again);
      again = setTimeout(serve, AGAIN_MS);
    }
    failWaiting(raw, failure);
  }

  /** The error of a server that ends connection after connection before it takes a call; undefined while there is hope. */
  function endOfPatience(session: Session): ConnectError | undefined {
    if (++sentAway < MOST_SENT_AWAY) return undefined;
    sentAway = 0;
    return connectionError(describeTarget(endpoint), session.failure ?? CLOSED);
  }

  /** Fails the calls that wait, unless they may find room on what there is. */
  function failWaiting(raw: boolean, failure: unknown): void {
    if ([...sessions].some((session) => session.raw === raw && !session.draining)) return;
    for (const call of waiting) {
      if (isRaw(call.short) !== raw) continue;
      waiting.delete(call);
      call.reject(failure);
    }
  }

  /** Ends a session without calls, in a turn of its own: closed by what listens to its frames, it takes Deno down. */
  function endIdle(session: Session): void {
    setImmediate(() => {
      if (session.open > 0) return;
      session.draining = true;
      session.http2.destroy();
    });
  }

  /**
   * Puts a session that has been made beside silent ones in their place. A server that was stopped speaks on all of its
   * connections, in any order: then those from before stay, and this one ends with its calls.
   */
  function succeed(next: Session): void {
    if (successors.has(next) || closing.signal.aborted) return;
    const timer = setTimeout(() => {
      const silent = suspected(next.raw).filter((session) => session !== next);
      silent.forEach(replace);
      // One that is lost meanwhile has not spoken: this one is all that there is.
      const mayServe = (one: Session) => one !== next && one.raw === next.raw && !one.draining;
      if (silent.length > 0 || ![...sessions].some(mayServe)) return;
      next.draining = true;
      endIdle(next);
    }, LAST_CHANCE_MS);
    unrefTimer(timer);
    successors.set(next, timer);
  }

  /** Lets a session end its calls, and no others. */
  function replace(silent: Session): void {
    silent.draining = true;
    if (silent.open === 0) endIdle(silent);
    else silent.life?.replace();
  }

  function acquire(short: boolean, call: { readonly over: boolean }): Session | Promise<Session> {
    const session = waiting.size === 0 ? take(isRaw(short)) : undefined;
    if (session !== undefined) return session;
    if (closing.signal.aborted) {
      return Promise.reject(new ConnectError("the channel is closed", Code.Unavailable));
    }
    return new Promise((resolve, reject) => {
      waiting.add({ call, short, resolve, reject });
      serve();
    });
  }

  function release(session: Session): void {
    session.open--;
    if (waiting.size > 0) serve();
    if (session.open > 0) return;
    if (session.draining || closing.signal.aborted) session.http2.close();
    // An idle session does not keep the process alive.
    else session.http2.unref();
  }

  async function ping(): Promise<void> {
    const session = await acquire(true, { over: false });
    // A ping takes no place of a call.
    release(session);
    await pong(session.http2).catch((error) => {
      throw connectionError(describeTarget(endpoint), session.failure ?? error);
    });
  }

  return {
    acquire,
    release,
    connection: {
      get isOpen() {
        return [...sessions].some(({ http2, draining }) => !draining && !http2.destroyed && !http2.closed);
      },
      ping: (signal) => abortable(ping(), signal),
      drop() {
        for (const session of sessions) session.http2.destroy();
      },
      doubt() {
        for (const session of sessions) session.life?.doubt();
      },
    },
    close() {
      clearTimeout(again);
      for (const timer of successors.values()) clearTimeout(timer);
      closing.abort(CLOSED);
      for (const session of sessions) session.http2.destroy();
      sessions.clear();
      for (const call of waiting) call.reject(new ConnectError("the channel is closed", Code.Unavailable));
      waiting.clear();
    },
  };
}
