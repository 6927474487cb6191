import { messageOf } from "../core/error_message.ts";
import type { DialPhase, TimelineEntry } from "../core/dial/timeline.ts";
import type { Logger } from "../logger.ts";
import type { DialTrace } from "./telemetry.ts";

/** Records the steps of a dial, and reports each entry to the logger and to `onEvent`. */
export interface TimelineRecorder {
  readonly entries: readonly TimelineEntry[];
  /** The current phase; between two, the last one that failed, or else the last one. */
  readonly phase: DialPhase;
  /** Runs a step. `describe` describes its result in a few words. */
  step<T>(phase: DialPhase, describe: (result: T) => string | Description, run: () => Promise<T>): Promise<T>;
  /** Adds a remark. */
  remark(phase: DialPhase, description: string | Description, ok?: boolean): void;
}

/** The result of a step: a description, and typed values. */
export type Description = Pick<TimelineEntry, "detail" | "roundTrips" | "candidates" | "pair">;

/** Completes a description that is only words. */
export function described(description: string | Description): Description {
  return typeof description === "string" ? { detail: description } : description;
}

/** Starts the clock of a dial. */
export function createTimeline(
  logger: Required<Logger>,
  onEntry: ((entry: TimelineEntry) => void) | undefined,
  trace?: DialTrace,
): TimelineRecorder {
  const start = performance.now();
  const entries: TimelineEntry[] = [];
  const running: DialPhase[] = [];
  let failed: DialPhase | undefined;
  let last: DialPhase = "options";
  function add(noted: TimelineEntry): void {
    const entry = Object.freeze(noted);
    entries.push(entry);
    logger.debug(`dial: ${entry.phase}: ${entry.detail}`, { ...entry });
    onEntry?.(entry);
  }
  return {
    entries,
    get phase() {
      return running.at(-1) ?? failed ?? last;
    },
    async step(name, describe, run) {
      last = name;
      running.push(name);
      const began = performance.now();
      const times = () => ({ atMs: began - start, durationMs: performance.now() - began });
      try {
        const result = await (trace === undefined ? run() : trace.phase(name, run));
        add({ phase: name, ...times(), ...described(describe(result)), ok: true });
        return result;
      } catch (error) {
        failed = name;
        add({ phase: name, ...times(), detail: messageOf(error), ok: false });
        throw error;
      } finally {
        running.splice(running.lastIndexOf(name), 1);
      }
    },
    remark(name, description, ok = true) {
      const noted = described(description);
      trace?.remark(name, noted.detail);
      add({ phase: name, atMs: performance.now() - start, ...noted, ok });
    },
  };
}
