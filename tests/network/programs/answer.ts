/** The other end of `program.ts`: reads commands from standard input, and answers each with one line. */

import process from "node:process";
import { createInterface } from "node:readline";

/** The commands of a program. */
// deno-lint-ignore no-explicit-any
export type Commands = Record<string, (argument: any) => unknown>;

/** The arguments of the program. */
// deno-lint-ignore no-explicit-any
export function startedWith(): any {
  return JSON.parse(process.argv[2] ?? "{}");
}

function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Reports that the program is ready, carries out commands until its input ends, and then runs `end`. */
export async function answerCommands(
  commands: Commands,
  greeting: unknown,
  end: () => Promise<void>,
): Promise<void> {
  const input = createInterface({ input: process.stdin });
  const over = new Promise((resolve) => input.once("close", resolve));
  input.on("line", async (line) => {
    const { id, command, argument } = JSON.parse(line);
    try {
      say({ id, result: await commands[command]!(argument) ?? null });
    } catch (error) {
      say({ id, error: error instanceof Error ? error.stack ?? error.message : String(error) });
    }
  });
  say({ id: 0, result: greeting });
  await over;
  await end();
}
