/** Takes log lines. Every level may be left out. */
export interface Logger {
  /** What only helps while looking for a fault. */
  readonly debug?: (message: string, fields?: Record<string, unknown>) => void;
  /** One line for each transition of a channel. */
  readonly info?: (message: string, fields?: Record<string, unknown>) => void;
  /** What works, but not as asked, such as a downgrade to plaintext. */
  readonly warn?: (message: string, fields?: Record<string, unknown>) => void;
  /** What has failed for good. */
  readonly error?: (message: string, fields?: Record<string, unknown>) => void;
}

/** How much is logged. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

// deno-lint-ignore no-console
const CONSOLE: Required<Logger> = console;

const ORDER: readonly LogLevel[] = ["debug", "info", "warn", "error", "silent"];

/** The module's logger. It is silent until given a level; secrets never reach it. */
export interface ModuleLogger extends Required<Logger> {
  /** Least level that is passed on. */
  level: LogLevel;
  /** Where lines go; the console by default. */
  sink: Logger;
}

/**
 * The logger of every dial that is given none of its own. Source: Python's `viam.rpc.dial.LOGGER`.
 *
 * @example
 * ```ts
 * import { LOGGER } from "@viam-dial/dial";
 *
 * LOGGER.level = "info";
 * ```
 */
export const LOGGER: ModuleLogger = createModuleLogger();

function createModuleLogger(): ModuleLogger {
  let least: LogLevel = "silent";
  let sink: Logger = CONSOLE;
  let write = writerTo(sink, CONSOLE);
  function pass(level: keyof Logger, message: string, fields: Record<string, unknown> | undefined): void {
    if (ORDER.indexOf(level) >= ORDER.indexOf(least)) write(level, message, fields);
  }
  return {
    get level() {
      return least;
    },
    set level(level) {
      if (!ORDER.includes(level)) {
        throw new TypeError(`LOGGER.level cannot be ${String(level)}: set it to one of ${ORDER.join(", ")}`);
      }
      least = level;
    },
    get sink() {
      return sink;
    },
    set sink(value) {
      if (typeof value !== "object" && typeof value !== "function" || value === null) {
        throw new TypeError("LOGGER.sink has to be an object with methods debug, info, warn and error");
      }
      sink = value;
      write = writerTo(sink, CONSOLE);
    },
    debug: (message, fields) => pass("debug", message, fields),
    info: (message, fields) => pass("info", message, fields),
    warn: (message, fields) => pass("warn", message, fields),
    error: (message, fields) => pass("error", message, fields),
  };
}

/** Completes a logger of the user's with the levels that it leaves out. What its methods throw goes to `LOGGER`. */
export function quietLogger(logger: Logger): Required<Logger> {
  const write = writerTo(logger, LOGGER);
  return Object.freeze({
    debug: (message, fields) => write("debug", message, fields),
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
  });
}

/** Looks up the method for each line: some loggers swap theirs when their level changes. */
function writerTo(logger: Logger, reportTo: Required<Logger>) {
  return guardCallback(
    "the logger",
    (level: keyof Logger, message: string, fields: Record<string, unknown> | undefined) =>
      fields === undefined ? logger[level]?.(message) : logger[level]?.(message, fields),
    reportTo,
  );
}

/**
 * Wraps a callback of the user's. The first error that it throws, or rejects with, is reported at "warn"; none ends
 * the process, or what called it.
 *
 * @param name Names the callback in the report.
 * @param reportTo Takes the report; if that is a `LOGGER` whose level holds it back, the console does.
 */
export function guardCallback<A extends unknown[]>(
  name: string,
  callback: (...args: A) => unknown,
  reportTo: Required<Logger>,
): (...args: A) => void {
  let reported = false;
  function report(error: unknown): void {
    if (reported) return;
    reported = true;
    const isHeldBack = reportTo === LOGGER && ORDER.indexOf(LOGGER.level) > ORDER.indexOf("warn");
    (isHeldBack ? CONSOLE : reportTo).warn(`${name} threw an error, which is ignored`, { error });
  }
  return (...args) => {
    try {
      const result = callback(...args);
      if (result instanceof Promise) result.catch(report);
    } catch (error) {
      report(error);
    }
  };
}
