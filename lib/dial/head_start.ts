import { Code, ConnectError } from "@connectrpc/connect";
import type { Background } from "../runtime/background.ts";
import { settlesWithin } from "../runtime/wait.ts";

/** Two ways to the same end, of which one is better where it exists at all. */
export interface HeadStartOptions<T> {
  /** The better way. Resolves with undefined when it is not there; `onPromising()` says that it seems to be. */
  readonly better: (signal: AbortSignal, onPromising: () => void) => Promise<T | undefined>;
  /** The way that always exists. */
  readonly other: (signal: AbortSignal) => Promise<T>;
  /** Time that the other way, once connected, waits for a promising better way, in milliseconds. */
  readonly headStartMs: number;
  /** Tells whether an error of the other way holds for the better one, which then has no more than a head start. */
  readonly isFinal?: (error: unknown) => boolean;
  /** Releases a result that came too late. */
  readonly discard: (late: T) => Promise<void>;
  /** Takes the way that is given up. */
  readonly background: Background;
  readonly signal: AbortSignal;
}

/**
 * Tries both at once. The better way wins if it is ready first, or soon after the other while it is promising. The
 * loser is aborted, and ends in the background.
 *
 * @throws the error of the other way, when neither succeeds; that of the better way, when it was promising and the
 * other could not be reached
 */
export async function withHeadStart<T>(options: HeadStartOptions<T>): Promise<T> {
  const { signal, discard, headStartMs } = options;
  const stopBetter = new AbortController(), stopOther = new AbortController();
  let promisedAt: number | undefined;
  const better = options.better(
    AbortSignal.any([signal, stopBetter.signal]),
    () => promisedAt ??= performance.now(),
  );
  const other = options.other(AbortSignal.any([signal, stopOther.signal]));
  const outcome: {
    better?: T | undefined;
    betterError?: unknown;
    other?: { value: T } | { error: unknown };
  } = {};
  const betterOver = better.then((value) => outcome.better = value, (error) => outcome.betterError = error);
  const otherOver = other.then((value) => outcome.other = { value }, (error) => outcome.other = { error });

  function giveUp(loser: Promise<T | undefined>, stop: AbortController): void {
    stop.abort(new DOMException("another way was there first", "AbortError"));
    options.background.add(loser.then((late) => late === undefined ? undefined : discard(late)));
  }

  await Promise.race([betterOver, otherOver]);
  const first = outcome.other;
  if (first !== undefined && "value" in first) {
    const leftMs = promisedAt === undefined ? 0 : promisedAt + headStartMs - performance.now();
    if (leftMs > 0) await settlesWithin(leftMs, betterOver);
  } else if (first !== undefined) {
    const isFinal = options.isFinal?.(first.error) === true;
    if (isFinal && !await settlesWithin(headStartMs, betterOver) && promisedAt === undefined) {
      giveUp(better, stopBetter);
      throw first.error;
    }
    await betterOver;
  }
  if (outcome.better !== undefined) {
    giveUp(other, stopOther);
    return outcome.better;
  }
  await otherOver;
  const last = outcome.other!;
  if ("value" in last) {
    giveUp(better, stopBetter);
    return last.value;
  }
  // "Cannot be reached" says less than the error of a way that was promising.
  const isVague = ConnectError.from(last.error).code === Code.Unavailable && !signal.aborted;
  throw isVague && promisedAt !== undefined && outcome.betterError !== undefined
    ? outcome.betterError
    : last.error;
}
