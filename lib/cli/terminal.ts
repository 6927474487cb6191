import process from "node:process";

/** The input and output of a command. */
export interface Terminal {
  /** Writes to standard output; resolves when there is room for more. */
  write(text: string): Promise<void>;
  /** Writes to standard error. */
  warn(text: string): void;
  /** Standard input. */
  readonly input: AsyncIterable<Uint8Array>;
  /** True if a person types the input. */
  readonly inputIsTerminal: boolean;
  /** True if a person reads standard error. */
  readonly errorIsTerminal: boolean;
  /** A variable of the environment; undefined when it is not set, or may not be read. */
  variable(name: string): string | undefined;
  /** Aborts when the user interrupts. */
  readonly signal: AbortSignal;
}

/**
 * The terminal of this process. The second interrupt ends it at once.
 *
 * Source: POSIX, utility conventions: results to the standard output, the rest to the standard error.
 *
 * @example
 * ```ts
 * import { processTerminal } from "@viam-dial/dial/cli";
 *
 * await processTerminal().write("hello\n");
 * ```
 */
export function processTerminal(): Terminal {
  const interrupted = new AbortController();
  const interrupt = () => {
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort(new DOMException("interrupted", "AbortError"));
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  // The reader of the output has closed it, as `head` does.
  process.stdout.on("error", () => process.exit(141));
  process.stderr.on("error", () => process.exit(141));
  return {
    write: (text) =>
      new Promise((resolve, reject) => {
        process.stdout.write(text, (error) => error ? reject(error) : resolve());
      }),
    warn: (text) => void process.stderr.write(text),
    input: process.stdin,
    inputIsTerminal: process.stdin.isTTY === true,
    errorIsTerminal: process.stderr.isTTY === true,
    variable(name) {
      try {
        return process.env[name] || undefined;
      } catch {
        return undefined; // Deno without --allow-env
      }
    },
    signal: interrupted.signal,
  };
}
