import { Code, ConnectError } from "@connectrpc/connect";
import { attemptPauseMs } from "../core/dial/backoff.ts";
import type { DialEvent } from "../events.ts";
import type { Carrier } from "../rpc/carrier.ts";
import { linkAbort, type LinkedAbort } from "../runtime/linked_abort.ts";
import { wait } from "../runtime/wait.ts";
import type { ChannelState, Link } from "./link.ts";

/** A link that is kept alive. */
export interface KeptLink {
  readonly state: ChannelState;
  readonly link: Link;
  /** Number of links after the first one. */
  readonly reconnects: number;
  /** The carrier for a new call; a promise while there is none. */
  carrier(): Carrier | Promise<Carrier>;
  /** Resolves when closed: by `close()`, or with the error of the last attempt. */
  readonly closed: Promise<Error | undefined>;
  close(): Promise<void>;
}

/** Settings of a kept link. */
export interface KeepOptions {
  /** Most attempts in an outage. */
  readonly maxAttempts: number;
  /** Bounds each attempt, in milliseconds. */
  readonly timeoutMs: number;
  /** Makes a new link: an attempt, which ends with the signal at the latest. */
  readonly connect: (signal: AbortSignal) => Promise<Link>;
  /** Returns the pause before an attempt, in milliseconds. */
  readonly pauseMs?: (attempt: number) => number;
  readonly onEvent: (event: DialEvent) => void;
  /** The caller's signal: aborts attempts. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Keeps a link alive: when it is lost, calls in flight fail, and new ones wait while attempts make another. After the
 * last attempt the link is closed with its error.
 */
export function keepLink(first: Link, options: KeepOptions): KeptLink {
  let link = first;
  let reconnects = 0;
  let state: ChannelState = "connected";
  let pending: Promise<Carrier> | undefined;
  let closing: Promise<void> | undefined;
  let failure: Error | undefined;
  const stop = new AbortController();
  const closed = Promise.withResolvers<Error | undefined>();

  void watch(first);

  async function watch(current: Link): Promise<void> {
    const error = await current.lost;
    if (state === "closed" || link !== current) return;
    if (options.maxAttempts > 0) {
      state = "reconnecting";
      const outcome = Promise.withResolvers<Carrier>();
      pending = outcome.promise;
      pending.catch(() => {}); // there may be no waiting call
      // A listener may call at once, and waits like the others, or may close.
      options.onEvent({ type: "disconnected", error });
      if (stop.signal.aborted) outcome.reject(unavailable(failure));
      else outcome.resolve(reconnect(current, error));
    } else {
      options.onEvent({ type: "disconnected", error });
      end(error);
    }
  }

  async function reconnect(before: Link, lost: Error): Promise<Carrier> {
    before.close().catch(() => {}); // it is lost anyway
    const { timeoutMs, pauseMs = (attempt) => attemptPauseMs(attempt, Math.random()) } = options;
    const given = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
    let last = lost;
    for (let attempt = 1; attempt <= options.maxAttempts && !given.aborted; attempt++) {
      const delayMs = pauseMs(attempt);
      options.onEvent({ type: "reconnecting", attempt, delayMs });
      let bound: LinkedAbort | undefined;
      try {
        await wait(delayMs, given);
        bound = linkAbort([given], {
          timeoutMs: timeoutMs === Infinity ? undefined : timeoutMs,
          onTimeout: () => new DOMException(`not connected after ${timeoutMs} ms`, "TimeoutError"),
        });
        const next = await options.connect(bound.signal);
        if (stop.signal.aborted) {
          await next.close();
          throw stop.signal.reason;
        }
        link = next;
        reconnects++;
        state = "connected";
        pending = undefined;
        options.onEvent({ type: "connected", kind: next.kind });
        void watch(next);
        return next.carrier;
      } catch (error) {
        if (stop.signal.aborted) throw stop.signal.reason;
        last = errorOf(error);
        options.onEvent({ type: "reconnectfailed", attempt, error: last });
      } finally {
        bound?.release();
      }
    }
    if (stop.signal.aborted) throw stop.signal.reason; // closed by a listener
    if (given.aborted) last = errorOf(given.reason);
    end(last);
    throw unavailable(last);
  }

  function end(error: Error | undefined): void {
    if (state === "closed") return;
    state = "closed";
    failure = error;
    pending = undefined;
    link.close().catch(() => {}); // `close()` reports it
    options.onEvent({ type: "closed", error });
    closed.resolve(error);
  }

  return {
    get state() {
      return state;
    },
    get link() {
      return link;
    },
    get reconnects() {
      return reconnects;
    },
    carrier() {
      if (state === "connected") return link.carrier;
      return pending ?? Promise.reject(unavailable(failure));
    },
    closed: closed.promise,
    close() {
      closing ??= (async () => {
        stop.abort(new ConnectError("the channel is closed", Code.Unavailable));
        const last = link;
        const attempts = pending;
        end(undefined);
        await last.close();
        // An attempt under way releases what it has begun.
        await attempts?.catch(() => {});
      })();
      return closing;
    },
  };
}

/** An abort may have any reason. */
function errorOf(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason), { cause: reason });
}

function unavailable(cause: Error | undefined): ConnectError {
  return new ConnectError(
    cause === undefined ? "the channel is closed" : `the channel is closed: ${cause.message}`,
    Code.Unavailable,
    undefined,
    undefined,
    cause,
  );
}
