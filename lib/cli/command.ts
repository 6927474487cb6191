import type { Arguments, Options } from "./arguments.ts";
import type { Terminal } from "./terminal.ts";

/** A command of the command line. */
export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** What follows its name. */
  readonly usage: string;
  /** What else there is to say. */
  readonly details: string;
  readonly options: Options;
  /** Does it, once the command line is read. Loaded when it is used. */
  readonly load: () => Promise<Run>;
}

/** Does a command; returns the exit code. What it throws is told, and stands for an exit code, too. */
export type Run = (args: Arguments, terminal: Terminal) => Promise<number>;

/** Options of every command. */
export const COMMON_OPTIONS: Options = {
  "json": { help: "write JSON, for programs" },
  "verbose": { short: "v", help: "tell more, on standard error" },
  "help": { short: "h", help: "show this" },
};
