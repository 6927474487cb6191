/** Receives log lines. Every level is optional. */
export interface Logger {
  /** Details that help only to find a fault. */
  readonly debug?: (message: string, fields?: Record<string, unknown>) => void;
  /** One line for each transition of a channel. */
  readonly info?: (message: string, fields?: Record<string, unknown>) => void;
  /** Something that works, but not as requested, such as a downgrade to plaintext. */
  readonly warn?: (message: string, fields?: Record<string, unknown>) => void;
  /** A permanent failure. */
  readonly error?: (message: string, fields?: Record<string, unknown>) => void;
}

/** The level of a logger. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

// deno-lint-ignore no-console
const CONSOLE: Required<Logger> = console;

const ORDER: readonly LogLevel[] = ["debug", "info", "warn", "error", "silent"];

/** The logger of this module. It is silent until it is given a level; secrets never reach it. */
export interface ModuleLogger extends Required<Logger> {
  /** The lowest level that is passed on. */
  level: LogLevel;
  /** The receiver of the lines; the console by default. */
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
  const pass: Write = (level, message, fields) => {
    if (ORDER.indexOf(level) >= ORDER.indexOf(least)) write(level, message, fields);
  };
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
    ...levelsOf(pass),
  };
}

type Write = (level: keyof Logger, message: string, fields: Record<string, unknown> | undefined) => void;

/** Makes the methods of a logger. */
function levelsOf(write: Write): Required<Logger> {
  return {
    debug: (message, fields) => write("debug", message, fields),
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
  };
}

/** Completes a user's logger with the missing levels. `LOGGER` receives the errors of its methods. */
export function quietLogger(logger: Logger): Required<Logger> {
  return Object.freeze(levelsOf(writerTo(logger, LOGGER)));
}

/** Looks up the method for each line, because some loggers replace theirs when their level changes. */
function writerTo(logger: Logger, reportTo: Required<Logger>): Write {
  const write: Write = (level, message, fields) =>
    fields === undefined ? logger[level]?.(message) : logger[level]?.(message, fields);
  return guardCallback("the logger", write, reportTo);
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
