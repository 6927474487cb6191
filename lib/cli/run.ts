import { ConnectError } from "@connectrpc/connect";
import { formatTimeline } from "../core/dial/timeline.ts";
import { DialError } from "../errors.ts";
import { VERSION } from "../runtime/version.ts";
import { readArguments, UsageError } from "./arguments.ts";
import { COMMANDS } from "./commands.ts";
import { describeError } from "./error_text.ts";
import { EXIT, exitCodeOf } from "./exit_code.ts";
import { inCommandWords } from "./command_words.ts";
import { commandHelp, generalHelp } from "./help.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Runs one command line, without the name of the program.
 *
 * Source: grpcurl, for `list`, `describe` and the form of a call's messages; exit codes are the module's own.
 *
 * @param typed What was typed, word by word.
 * @param terminal Where it reads and writes.
 * @returns The exit code; docs/command-line.md says what each means. Errors are written, not thrown.
 *
 * @example
 * ```ts
 * import { processTerminal, runCommandLine } from "@viam-dial/dial/cli";
 *
 * const exitCode = await runCommandLine(["help", "ping"], processTerminal());
 * ```
 */
export async function runCommandLine(typed: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = typed;
  const json = typed.includes("--json");
  if (name === "--version") {
    await terminal.write(json ? `${JSON.stringify({ version: VERSION })}\n` : `${VERSION}\n`);
    return EXIT.ok;
  }
  const command = COMMANDS.find((known) => known.name === name);
  try {
    if (name === undefined || ["help", "--help", "-h"].includes(name)) {
      const topic = rest.find((word) => !word.startsWith("-"));
      const asked = COMMANDS.find((known) => known.name === topic);
      if (topic !== undefined && asked === undefined) {
        throw new UsageError(`Unknown command ${JSON.stringify(topic)}`);
      }
      await terminal.write(asked === undefined ? generalHelp(json) : commandHelp(asked, json));
      return name === undefined ? EXIT.usage : EXIT.ok;
    }
    if (command === undefined) throw new UsageError(`Unknown command ${JSON.stringify(name)}`);
    const args = readArguments(rest, command.options);
    if (args.has("help")) {
      await terminal.write(commandHelp(command, json));
      return EXIT.ok;
    }
    return await (await command.load())(args, terminal);
  } catch (error) {
    const exitCode = terminal.signal.aborted ? EXIT.interrupted : exitCodeOf(error);
    if (exitCode === EXIT.interrupted) return exitCode;
    if (json) {
      terminal.warn(`${JSON.stringify({ error: errorAsJson(error), exitCode })}\n`);
      return exitCode;
    }
    const see = error instanceof UsageError
      ? `; see viam-dial ${command === undefined ? "help" : `${command.name} --help`}`
      : "";
    terminal.warn(`viam-dial: ${inCommandWords(describeError(error))}${see}\n`);
    if (error instanceof DialError) {
      terminal.warn(`  viam-dial doctor ${error.address} checks each step, with the same options\n`);
    }
    if (error instanceof DialError && typed.some((text) => text === "--verbose" || text === "-v")) {
      terminal.warn(`${formatTimeline(error.timeline)}\n`);
    }
    // An unexpected error is a fault of this program, so its stack is shown.
    if (exitCode === EXIT.failed && error instanceof Error) terminal.warn(`${error.stack}\n`);
    return exitCode;
  }
}

function errorAsJson(error: unknown): Record<string, unknown> {
  const message = describeError(error);
  if (error instanceof DialError) {
    const { name, code, phase, timeline } = error;
    return { name, code, phase, message, timeline };
  }
  if (error instanceof ConnectError) return { name: error.name, code: error.code, message: error.rawMessage };
  return { name: error instanceof Error ? error.name : "Error", message };
}
