/** An abort that follows signals until it is released. */
export interface LinkedAbort {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
  /** Leaves the signals: they outlive many calls, and must not collect their listeners. */
  release(): void;
}

/**
 * Makes an abort that comes with the first of some signals, or by itself. `AbortSignal.any` is not used for single
 * calls: what it makes stays with its sources until it is collected.
 *
 * @param reason What it aborts with; by default the reason of the signal that came first.
 */
export function linkAbort(signals: readonly AbortSignal[], reason?: unknown): LinkedAbort {
  const controller = new AbortController();
  function follow(this: AbortSignal): void {
    controller.abort(reason ?? this.reason);
  }
  for (const signal of signals) {
    if (signal.aborted) follow.call(signal);
    else signal.addEventListener("abort", follow, { once: true });
  }
  return {
    signal: controller.signal,
    abort: (why) => controller.abort(why),
    release() {
      for (const signal of signals) signal.removeEventListener("abort", follow);
    },
  };
}
