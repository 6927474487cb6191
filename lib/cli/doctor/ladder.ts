/** How a step went. */
export type Verdict =
  | "ok"
  /** It works, and there is something to know. */
  | "note"
  | "failed"
  /** It does not apply, or cannot be tried after what failed before. */
  | "skipped";

/** What was found out at a step. */
export interface Finding {
  readonly verdict: Verdict;
  /** In a few words. */
  readonly detail: string;
  /** What to do about it. */
  readonly advice?: string;
  /** The whole trouble in one plain sentence, of what failed. */
  readonly sentence?: string;
  /** The exit code that it stands for. */
  readonly exitCode?: number;
  /** How long it took, in milliseconds, when that was measured elsewhere. */
  readonly ms?: number;
}

/** A step of the ladder. */
export interface Rung extends Finding {
  readonly name: string;
  readonly ms: number;
}

/** Step by step, with a bound to each. */
export interface Ladder {
  readonly rungs: readonly Rung[];
  /** The first step that failed. */
  readonly broken: Rung | undefined;
  /** Takes a step, unless one before it has failed. What it throws is a failure. Undefined when it does not hold. */
  climb<T>(name: string, step: (signal: AbortSignal) => Promise<Step<T>>): Promise<T | undefined>;
}

/** What a step leads to: what it found out, and what later steps need of it. */
export interface Step<T> extends Finding {
  readonly result?: T;
}

/**
 * Makes a ladder.
 *
 * @param timeoutMs Bounds each step.
 * @param stop Ends it all.
 * @param tell Told of every step when it is over.
 */
export function createLadder(
  timeoutMs: number,
  stop: AbortSignal,
  tell: (rung: Rung) => Promise<void>,
): Ladder {
  const rungs: Rung[] = [];
  const broken = () => rungs.find(({ verdict }) => verdict === "failed");
  return {
    rungs,
    get broken() {
      return broken();
    },
    async climb(name, step) {
      stop.throwIfAborted();
      const failed = broken();
      const began = performance.now();
      const { result, ...finding } = failed === undefined
        ? await bounded(step, timeoutMs, stop)
        : { verdict: "skipped" as const, detail: `after ${failed.name} has failed` };
      stop.throwIfAborted();
      const rung = { name, ...finding, ms: finding.ms ?? performance.now() - began };
      rungs.push(rung);
      await tell(rung);
      return result;
    },
  };
}

async function bounded<T>(
  step: (signal: AbortSignal) => Promise<Step<T>>,
  timeoutMs: number,
  stop: AbortSignal,
): Promise<Step<T>> {
  const bound = new AbortController();
  const timer = setTimeout(
    () => bound.abort(new DOMException(`no answer within ${timeoutMs} ms`, "TimeoutError")),
    timeoutMs,
  );
  try {
    return await step(AbortSignal.any([bound.signal, stop]));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return {
      verdict: "failed",
      detail: text,
      sentence: `Something failed that the doctor does not know: ${text}.`,
    };
  } finally {
    clearTimeout(timer);
  }
}
