import { Code, ConnectError } from "@connectrpc/connect";
import { messageOf } from "../core/error_message.ts";
import type { Background } from "../runtime/background.ts";
import { linkAbort, type LinkedAbort } from "../runtime/linked_abort.ts";

/** One try among several. */
export interface Try<T> {
  readonly result: Promise<T>;
  /** Resolves when a server has answered. Never rejects. */
  readonly reached: Promise<void>;
}

/** Settings of `retry()`. */
export interface RetryOptions<T> {
  /** Starts a try; the signal gives it up. */
  readonly start: (signal: AbortSignal) => Try<T>;
  /** Tells whether another try may succeed a moment after this error. */
  readonly mayPass: (error: unknown) => boolean;
  /** Returns the pause after so many failures, in milliseconds. */
  readonly pauseMs: (failures: number) => number;
  /** Time after which a try that has reached no server is joined by another, in milliseconds. */
  readonly joinAfterMs: number;
  /** Frees a result that came too late. */
  readonly discard: (late: T) => Promise<void>;
  /** Takes the tries that are given up when another has succeeded. */
  readonly background: Background;
  readonly signal: AbortSignal;
}

/** Most tries at the same time. */
const MAX_TRIES = 3;

/**
 * Tries until it succeeds, a failure is there to stay, or the signal aborts. Packets to a machine that is off vanish,
 * and systems send them again ever more rarely; so a try that reaches no server is joined by others, one of which
 * notices that the machine is back. The oldest stays: on a slow network it is the nearest to success.
 *
 * @throws the failure that is there to stay; or, when the signal aborts, its reason and the last failure
 */
export async function retry<T>(options: RetryOptions<T>): Promise<T> {
  const { signal } = options;
  signal.throwIfAborted();
  const outcome = Promise.withResolvers<T>();
  /** The oldest first, with those that were replaced and are not over. */
  const running: Running[] = [];
  const active = () => running.filter(({ stop }) => !stop.signal.aborted);
  let failures = 0;
  let last: unknown;
  let isOver = false;
  let next: ReturnType<typeof setTimeout> | undefined;

  function plan(milliseconds: number): void {
    clearTimeout(next);
    next = setTimeout(start, milliseconds);
  }

  function start(): void {
    const others = active();
    if (others.length >= MAX_TRIES) others[1]!.stop.abort(new DOMException("replaced", "AbortError"));
    const stop = linkAbort([signal]);
    const { result, reached } = options.start(stop.signal);
    const one: Running = { stop, done: result.then(succeed, fail), reached: false };
    running.push(one);
    plan(options.joinAfterMs);
    void reached.then(() => {
      one.reached = true;
      if (active().includes(one)) clearTimeout(next);
    });

    function leave(): void {
      stop.release();
      running.splice(running.indexOf(one), 1);
    }

    async function succeed(value: T): Promise<void> {
      leave();
      if (isOver) return await options.discard(value).catch(() => {});
      isOver = true;
      outcome.resolve(value);
    }

    function fail(error: unknown): void {
      leave();
      if (isOver || stop.signal.aborted) return;
      failures++;
      last = error;
      if (!options.mayPass(error)) giveUp(error);
      else if (!active().some((other) => other.reached)) plan(options.pauseMs(failures));
    }
  }

  function giveUp(error: unknown): void {
    isOver = true;
    outcome.reject(error);
  }

  const abort = () => giveUp(last === undefined ? signal.reason : withLast(signal.reason, last));
  signal.addEventListener("abort", abort, { once: true });
  try {
    start();
    return await outcome.promise;
  } catch (error) {
    for (const { stop } of running) stop.abort(error);
    await Promise.all(running.map(({ done }) => done));
    throw error;
  } finally {
    clearTimeout(next);
    signal.removeEventListener("abort", abort);
    for (const { stop, done } of running) {
      stop.abort(new DOMException("another try was faster", "AbortError"));
      options.background.add(done);
    }
  }
}

interface Running {
  readonly stop: LinkedAbort;
  /** Resolves when the try is over, and what it made is freed. */
  readonly done: Promise<void>;
  reached: boolean;
}

/** Adds to the reason of an abort what the last try failed with. */
function withLast(reason: unknown, last: unknown): ConnectError {
  const text = `${messageOf(reason)}: ${messageOf(last)}`;
  return new ConnectError(text, Code.Unavailable, undefined, undefined, last);
}
