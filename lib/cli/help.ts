import type { Options } from "./arguments.ts";
import type { Command } from "./command.ts";
import { COMMANDS } from "./commands.ts";

const PROGRAM = "viam-dial";

/** The list of commands, as text or as one line of JSON. */
export function generalHelp(json: boolean): string {
  if (json) return `${JSON.stringify({ commands: COMMANDS })}\n`;
  return [
    "Dials Viam machines, and shows what happens.",
    "",
    `usage: ${PROGRAM} COMMAND [OPTIONS]`,
    "",
    ...columns(COMMANDS.map(({ name, summary }) => [name, summary])),
    "",
    `${PROGRAM} COMMAND --help shows a command; ${PROGRAM} --version the version.`,
    "",
    "VIAM_ADDRESS stands for an ADDRESS that is left out. VIAM_API_KEY and VIAM_API_KEY_ID are the credentials.",
    "",
  ].join("\n");
}

/** The help of a command, as text or as one line of JSON. */
export function commandHelp(command: Command, json: boolean): string {
  if (json) return `${JSON.stringify(command)}\n`;
  const { name, usage, summary, details, options } = command;
  return [
    `${summary[0]!.toUpperCase()}${summary.slice(1)}.`,
    "",
    `usage: ${PROGRAM} ${name} [OPTIONS]${usage === "" ? "" : ` ${usage}`}`,
    "",
    ...wrapped(details),
    "",
    ...columns(rows(options)),
    "",
  ].join("\n");
}

function rows(options: Options): [string, string][] {
  return Object.entries(options).map(([name, { value, short, words, help }]) => [
    `${short === undefined ? "   " : `-${short},`} --${name}${value === undefined ? "" : ` ${value}`}`,
    words === undefined ? help : `${help}: ${words.join(", ")}`,
  ]);
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

/** Wraps text into lines of at most 90 characters; a longer word has a line of its own. */
function wrapped(text: string): string[] {
  return Array.from(text.matchAll(/(\S{91,}|.{1,90})(?: |$)/g), ([, line]) => line!);
}
