import type { Arguments, Options } from "./arguments.ts";
import type { Terminal } from "./terminal.ts";

/** A command of the command line. */
export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** The arguments after its name. */
  readonly usage: string;
  /** Further details. */
  readonly details: string;
  readonly options: Options;
  /** Loads the function that runs it, when it is used. */
  readonly load: () => Promise<Run>;
}

/** Runs a command, and returns the exit code. An exception is reported, and has an exit code, too. */
export type Run = (args: Arguments, terminal: Terminal) => Promise<number>;

/** Options of every command. */
export const COMMON_OPTIONS: Options = {
  "json": { help: "write JSON" },
  "help": { short: "h", help: "show this help" },
};
