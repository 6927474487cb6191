import { linkAbort } from "../../runtime/linked_abort.ts";
import { messageOf } from "../error_text.ts";

/** The result of a step. */
export type Verdict =
  | "ok"
  /** It works, with something to know. */
  | "note"
  | "failed"
  /** It does not apply, or was not tried because an earlier step failed. */
  | "skipped";

/** The finding of a step. */
export interface Finding {
  readonly verdict: Verdict;
  /** A few words. */
  readonly detail: string;
  /** Advice, as an imperative. */
  readonly advice?: string;
  /** The failure as the beginning of a sentence; the detail by default. The advice completes it. */
  readonly problem?: string;
  /** The exit code of a failure; "cannot be reached" by default. */
  readonly exitCode?: number;
  /** The time it took, in milliseconds, if that was measured elsewhere. */
  readonly ms?: number;
}

/** Makes the finding of a step that failed. */
export function failed(detail: string, more: Omit<Finding, "verdict" | "detail"> = {}): Finding {
  return { verdict: "failed", detail, ...more };
}

/** A finding, and what later steps need of it. */
export interface Step<T> extends Finding {
  readonly result?: T;
}

/** A step that was taken. */
export interface Rung extends Finding {
  readonly name: string;
  readonly ms: number;
}

/** Takes steps one after the other until one fails. */
export type Ladder = ReturnType<typeof createLadder>;

/**
 * Makes a ladder.
 *
 * @param timeoutMs Bounds each step.
 * @param stop Ends it all.
 * @param tell Called with each step when it is over.
 */
export function createLadder(timeoutMs: number, stop: AbortSignal, tell: (rung: Rung) => Promise<void>) {
  type Take<T> = (signal: AbortSignal) => Step<T> | Promise<Step<T>>;
  let broken: Rung | undefined;

  async function bounded<T>(step: Take<T>): Promise<Step<T>> {
    using bound = linkAbort([stop], {
      timeoutMs,
      onTimeout: () => new DOMException(`no answer within ${timeoutMs} ms`, "TimeoutError"),
    });
    try {
      return await step(bound.signal);
    } catch (error) {
      const detail = messageOf(error);
      return failed(detail, { problem: `Unexpected failure: ${detail}` });
    }
  }

  return {
    /** The first step that failed. */
    get broken(): Rung | undefined {
      return broken;
    },
    /**
     * Takes a step, unless an earlier one failed. An error it throws is a failure.
     *
     * @returns The step's result, if it has one.
     */
    async climb<T>(name: string, step: Take<T>): Promise<T | undefined> {
      stop.throwIfAborted();
      const began = performance.now();
      const { result, ...finding }: Step<T> = broken === undefined
        ? await bounded(step)
        : { verdict: "skipped", detail: `not tried, since ${broken.name} failed` };
      stop.throwIfAborted();
      const rung = { name, ...finding, ms: finding.ms ?? performance.now() - began };
      if (rung.verdict === "failed") broken ??= rung;
      await tell(rung);
      return result;
    },
  };
}
