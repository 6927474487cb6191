/** One try among several. */
export interface HedgedAttempt<T> {
  /** Settles with the try. */
  readonly result: Promise<T>;
  /** Resolves when the try has got as far as to be expected to succeed soon. Never rejects. */
  readonly promising: Promise<void>;
}

/** Rules for tries. */
export interface HedgeOptions<T> {
  /** Starts a try, from 1; `signal` gives it up. */
  readonly start: (attempt: number, signal: AbortSignal) => HedgedAttempt<T>;
  /** Most tries. */
  readonly attempts: number;
  /** Time until a second try is started beside a promising one, in milliseconds. */
  readonly delayMs: () => number;
  /** Tells whether to try again after this error. */
  readonly retryable: (error: unknown) => boolean;
  /** Frees a result that came too late. */
  readonly discard: (result: T) => void;
  readonly signal: AbortSignal;
}

/**
 * Makes the same try a second time beside the first when that one takes longer than it should, or has failed in a
 * way that is a matter of luck. The first to succeed wins; the others are given up.
 *
 * @throws the error of the last try that failed, once none is left
 */
export async function hedge<T>(options: HedgeOptions<T>): Promise<T> {
  const { signal } = options;
  signal.throwIfAborted();
  const winner = Promise.withResolvers<T>();
  const running = new Map<number, AbortController>();
  const timers: ReturnType<typeof setTimeout>[] = [];
  let started = 0;
  let won = false;

  function start(): void {
    if (won || started === options.attempts || signal.aborted) return;
    const number = ++started;
    const stop = new AbortController();
    const { result, promising } = options.start(number, AbortSignal.any([signal, stop.signal]));
    void promising.then(() => {
      if (!won && running.has(number)) timers.push(setTimeout(start, options.delayMs()));
    });
    running.set(number, stop);
    result.then((value) => {
      running.delete(number);
      if (won) return options.discard(value);
      won = true;
      for (const other of running.values()) {
        other.abort(new DOMException("another try was faster", "AbortError"));
      }
      winner.resolve(value);
    }, (error) => {
      running.delete(number);
      if (won) return;
      if (started < options.attempts && !signal.aborted && options.retryable(error)) return start();
      if (running.size === 0) winner.reject(error);
    });
  }

  start();
  try {
    return await winner.promise;
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
}
