/** An abort that follows signals until it is released, by `release()` or at the end of a `using` block. */
export interface LinkedAbort extends Disposable {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
  /** Stops the timer and removes the listeners: the signals outlive many calls, and must not collect listeners. */
  release(): void;
}

/** The timeout of a linked abort, and its reasons. */
export interface LinkedAbortOptions {
  /** The reason, by default that of the signal that came first. */
  readonly reason?: unknown;
  /** Aborts after so many milliseconds, with a `TimeoutError`; never where it is undefined or `Infinity`. */
  readonly timeoutMs?: number | undefined;
  /** Makes what a timeout aborts with instead. */
  readonly onTimeout?: () => unknown;
}

/**
 * Aborts with the first of some signals, after a time, or by `abort()`. `AbortSignal.any` is not used for single calls:
 * what it makes stays with its sources until it is collected.
 */
export function linkAbort(
  signals: readonly (AbortSignal | undefined)[],
  options: LinkedAbortOptions = {},
): LinkedAbort {
  const {
    reason,
    timeoutMs = Infinity,
    onTimeout = () => new DOMException("the operation timed out", "TimeoutError"),
  } = options;
  const controller = new AbortController();
  const timer = timeoutMs === Infinity
    ? undefined
    : setTimeout(() => controller.abort(onTimeout()), timeoutMs);
  function follow(this: AbortSignal): void {
    clearTimeout(timer);
    controller.abort(reason ?? this.reason);
  }
  for (const signal of signals) {
    if (signal?.aborted === true) follow.call(signal);
    else signal?.addEventListener("abort", follow, { once: true });
  }
  function release(): void {
    clearTimeout(timer);
    for (const signal of signals) signal?.removeEventListener("abort", follow);
  }
  return {
    signal: controller.signal,
    abort: (why) => controller.abort(why),
    release,
    [Symbol.dispose]: release,
  };
}
