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
  /** Whether an error of the other way holds for the better one, too: that is then waited for no longer than a head start. */
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
  const { signal, discard } = options;
  const stopBetter = new AbortController(), stopOther = new AbortController();
  let promisedAt: number | undefined;
  const better = options.better(
    AbortSignal.any([signal, stopBetter.signal]),
    () => promisedAt ??= performance.now(),
  );
  const other = options.other(AbortSignal.any([signal, stopOther.signal]));
  const drop = (late: Promise<T | undefined>) => {
    options.background.add(late.then((value) => value === undefined ? undefined : discard(value)));
  };
  const lost = () => new DOMException("another way was there first", "AbortError");
  const takeBetter = (value: T): T => {
    stopOther.abort(lost());
    drop(other);
    return value;
  };
  const takeOther = (value: T): T => {
    stopBetter.abort(lost());
    drop(better);
    return value;
  };

  const absent = Symbol();
  let betterError: unknown;
  const betterOrAbsent = better.then((value) => value ?? absent, (error) => {
    betterError = error;
    return absent;
  }) as Promise<T | typeof absent>;
  const otherOrError = other.then((value) => ({ value }), (error: unknown) => ({ error }));
  /** "Cannot be reached" says less than the error of a way that was promising. */
  const whyNeither = (error: unknown) =>
    promisedAt !== undefined && betterError !== undefined && !signal.aborted &&
      ConnectError.from(error).code === Code.Unavailable
      ? betterError
      : error;
  const first = await Promise.race([
    betterOrAbsent.then((value) => ({ better: value })),
    otherOrError.then((outcome) => ({ outcome })),
  ]);
  if ("better" in first) {
    if (first.better !== absent) return takeBetter(first.better as T);
    return await other.catch((error) => {
      throw whyNeither(error);
    });
  }
  const { outcome } = first;
  if ("error" in outcome) {
    if (options.isFinal?.(outcome.error) === true) {
      const isOver = await settlesWithin(options.headStartMs, betterOrAbsent);
      if (!isOver && promisedAt === undefined) {
        stopBetter.abort(lost());
        drop(better);
        throw outcome.error;
      }
    }
    const value = await betterOrAbsent;
    if (value !== absent) return takeBetter(value as T);
    throw whyNeither(outcome.error);
  }
  const leftMs = promisedAt === undefined ? 0 : promisedAt + options.headStartMs - performance.now();
  if (leftMs <= 0) return takeOther(outcome.value);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<typeof absent>((resolve) => timer = setTimeout(resolve, leftMs, absent));
  const value = await Promise.race([betterOrAbsent, late]);
  clearTimeout(timer);
  return value === absent ? takeOther(outcome.value) : takeBetter(value as T);
}
