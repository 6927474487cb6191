/** Runs command lines: in this process, or as a user does in one of their own, on the runtime that runs the test. */

import { readFile } from "node:fs/promises";
import process from "node:process";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { runCommandLine } from "../../lib/cli/mod.ts";
import type { Machine } from "../../lib/testing/mod.ts";
import { runtime } from "../harness.ts";
import { type Child, type ChildExit, type ChildOptions, startProgram } from "../process/child.ts";

const ENTRY = "lib/cli/mod.ts";
const MANIFEST = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** The permissions of `deno task cli`. */
async function taskPermissions(): Promise<string[]> {
  const { tasks } = JSON.parse(await readFile(MANIFEST, "utf8"));
  return tasks.cli.command.split(" ").filter((word: string) => word.startsWith("--allow-"));
}

/** Starts a command line, without what the environment of the test has to say. */
export async function startCommand(
  args: readonly string[],
  options: Omit<ChildOptions, "args"> = {},
): Promise<Child> {
  const env = { VIAM_ADDRESS: "", VIAM_API_KEY: "", VIAM_API_KEY_ID: "", ...options.env };
  return startProgram(ENTRY, { permissions: await taskPermissions(), ...options, args, env });
}

/** The output and the exit code of a command line. */
export type CommandResult = Pick<ChildExit, "code" | "stdout" | "stderr">;

/** Runs a command line to its end, in this process. */
export async function runCommand(
  args: readonly string[],
  { env = {}, input = "" }: { readonly env?: Readonly<Record<string, string>>; readonly input?: string } = {},
): Promise<CommandResult> {
  let stdout = "", stderr = "";
  const code = await runCommandLine(args, {
    write(text) {
      stdout += text;
      return Promise.resolve();
    },
    warn: (text) => void (stderr += text),
    input: Readable.from([new TextEncoder().encode(input)]),
    inputIsTerminal: false,
    errorIsTerminal: false,
    variable: (name) => env[name] || undefined,
    signal: new AbortController().signal,
  });
  return { code, stdout, stderr };
}

/** Runs a command line to its end, in a process of its own with the permissions of `deno task cli`. */
export async function runCommandProcess(
  args: readonly string[],
  options: Omit<ChildOptions, "args"> = {},
): Promise<ChildExit> {
  await using child = await startCommand(args, options);
  return await child.exit;
}

/** Interrupts a command line as Ctrl-C does, and waits for its end. */
export async function interrupt(child: Child): Promise<ChildExit> {
  child.kill("SIGINT");
  return await child.exit;
}

/** The words in front of a command in a shell. */
export async function shellProgram(): Promise<string> {
  const words = runtime === "deno"
    ? [process.execPath, "run", "--no-check", ...await taskPermissions(), ENTRY]
    : [process.execPath, ENTRY];
  return words.map((word) => `'${word}'`).join(" ");
}

/** Variables that name a machine and its credentials. */
export function environmentOf(machine: Machine): Record<string, string> {
  return {
    VIAM_ADDRESS: machine.address,
    ...(machine.apiKey === "" ? {} : { VIAM_API_KEY: machine.apiKey, VIAM_API_KEY_ID: machine.apiKeyId }),
  };
}
