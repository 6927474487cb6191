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
  // deno-lint-ignore no-console
  let sink: Logger = console;
  function pass(level: keyof Logger, message: string, fields: Record<string, unknown> | undefined): void {
    if (ORDER.indexOf(level) < ORDER.indexOf(least)) return;
    callQuietly(() => fields === undefined ? sink[level]?.(message) : sink[level]?.(message, fields));
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
    },
    debug: (message, fields) => pass("debug", message, fields),
    info: (message, fields) => pass("info", message, fields),
    warn: (message, fields) => pass("warn", message, fields),
    error: (message, fields) => pass("error", message, fields),
  };
}

/**
 * A logger whose methods are all there and never throw. The user's own are looked up for each line, since there are
 * loggers that swap them when their level changes.
 */
export function quietLogger(logger: Logger): Required<Logger> {
  const method = (level: keyof Logger) => (message: string, fields?: Record<string, unknown>) =>
    callQuietly(() => fields === undefined ? logger[level]?.(message) : logger[level]?.(message, fields));
  return Object.freeze({
    debug: method("debug"),
    info: method("info"),
    warn: method("warn"),
    error: method("error"),
  });
}

/** Calls what a user gave; what it throws is the user's, and is reported as an uncaught error, not ours. */
export function callQuietly(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
