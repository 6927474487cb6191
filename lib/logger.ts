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
 * The logger of every dial that is given none of its own.
 *
 * @example
 * ```ts
 * import { LOGGER } from "@viam-dial/dial";
 *
 * LOGGER.level = "info";
 * ```
 */
export const LOGGER: ModuleLogger = {
  level: "silent",
  // deno-lint-ignore no-console
  sink: console,
  debug: (message, fields) => pass("debug", message, fields),
  info: (message, fields) => pass("info", message, fields),
  warn: (message, fields) => pass("warn", message, fields),
  error: (message, fields) => pass("error", message, fields),
};

function pass(
  level: Exclude<LogLevel, "silent">,
  message: string,
  fields: Record<string, unknown> | undefined,
): void {
  if (ORDER.indexOf(level) < ORDER.indexOf(LOGGER.level)) return;
  callQuietly(() =>
    fields === undefined ? LOGGER.sink[level]?.(message) : LOGGER.sink[level]?.(message, fields)
  );
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
