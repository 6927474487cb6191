import type { DialPhase, TimelineEntry } from "../core/dial/timeline.ts";
import type { DialEvent } from "../events.ts";
import type { Logger } from "../logger.ts";
import type { DialTrace } from "./telemetry.ts";

/** Writes down what a dial does, and tells whoever wants to know. */
export interface TimelineRecorder {
  readonly entries: readonly TimelineEntry[];
  /** The phase that is under way; between two, the one that failed last, or else the last one. */
  readonly phase: DialPhase;
  /** Runs a step. `describe` says in a few words what came of it. */
  step<T>(phase: DialPhase, describe: (result: T) => string, run: () => Promise<T>): Promise<T>;
  /** Notes something beside the steps. */
  remark(phase: DialPhase, detail: string, ok?: boolean): void;
}

/** Starts the clock. */
export function createTimeline(
  logger: Required<Logger>,
  onEvent: ((event: DialEvent) => void) | undefined,
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
    onEvent?.({ type: "progress", entry });
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
        add({ phase: name, ...times(), detail: describe(result), ok: true });
        return result;
      } catch (error) {
        failed = name;
        add({
          phase: name,
          ...times(),
          detail: error instanceof Error ? error.message : String(error),
          ok: false,
        });
        throw error;
      } finally {
        running.splice(running.lastIndexOf(name), 1);
      }
    },
    remark(name, detail, ok = true) {
      trace?.remark(name, detail);
      add({ phase: name, atMs: performance.now() - start, detail, ok });
    },
  };
}
