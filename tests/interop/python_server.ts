/** Servers that are Python programs. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { pythonEnvironment, pythonStubs } from "./requirements.ts";

/** The folder of the Python programs. */
export const PROGRAMS = join(dirname(fileURLToPath(import.meta.url)), "python");

/** Returns the path of a Python with the SDK, and an environment in which it finds the stubs. */
export async function pythonAndStubs(): Promise<{ python: string; env: NodeJS.ProcessEnv }> {
  const python = await pythonEnvironment();
  return { python, env: { ...process.env, PYTHONPATH: await pythonStubs(python) } };
}

/** Starts a program that prints its port as JSON, and ends with its standard input; `await using` ends it. */
export async function startPythonServer(program: string): Promise<{ port: number } & AsyncDisposable> {
  const { python, env } = await pythonAndStubs();
  const server = spawn(python, [join(PROGRAMS, program)], { env, stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(server, "exit");
  const lines = createInterface({ input: server.stdout });
  const [first] = await Promise.race([once(lines, "line"), exited]);
  lines.close();
  if (typeof first !== "string") throw new Error(`${program} did not start: exit code ${first}`);
  return {
    port: (JSON.parse(first) as { port: number }).port,
    [Symbol.asyncDispose]: async () => {
      server.stdin.end();
      await exited;
    },
  };
}
