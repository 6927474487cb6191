/** How the tools run other programs. */

import manifest from "../package.json" with { type: "json" };

/** The checkout, with a slash at the end. */
export const ROOT: string = new URL("../", import.meta.url).pathname;

/** How a program runs. */
export interface RunOptions {
  readonly env?: Record<string, string>;
  /** Ends the program after this many milliseconds. */
  readonly timeoutMs?: number;
  /** Also returns what the program writes to its standard output. */
  readonly keepOutput?: boolean;
}

/** How a program ended. */
export interface RunResult {
  readonly ok: boolean;
  /** Why it is not `ok`. */
  readonly reason: string;
  /** Its standard output, with `keepOutput`. */
  readonly output: string;
}

/** Runs a program in the checkout; what it writes is passed on. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { env = {}, timeoutMs, keepOutput = false } = options;
  const expired = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  const child = new Deno.Command(command, {
    args: [...args],
    cwd: ROOT,
    env,
    stdin: "null",
    stdout: keepOutput ? "piped" : "inherit",
    ...(expired === undefined ? {} : { signal: expired }),
  }).spawn();
  let output = "";
  if (keepOutput) {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      Deno.stdout.writeSync(chunk);
      output += decoder.decode(chunk, { stream: true });
    }
  }
  const { success, code, signal } = await child.status;
  const reason = expired?.aborted === true && !success
    ? `not done after ${timeoutMs} ms`
    : signal === null
    ? `exit code ${code}`
    : `ended by ${signal}`;
  return { ok: success, reason, output };
}

/** Runs a program that must succeed, silently, and returns its standard output. */
export async function output(command: string, args: readonly string[]): Promise<string> {
  const { success, code, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd: ROOT })
    .output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(
    `${command} ${args.join(" ")}: exit code ${code}\n${new TextDecoder().decode(stderr)}`,
  );
}

/** The version of Bun that the project is tested with. */
export const BUN_VERSION: string = manifest.devDependencies["@types/bun"];

/** The path of Bun, in that version; `npx` fetches it when needed. */
export async function bunPath(): Promise<string> {
  return (await output("npx", ["-y", `bun@${BUN_VERSION}`, "-e", "console.log(process.execPath)"])).trim();
}

/** The version of Node that the project is tested with. */
export const NODE_VERSION = "24.21.0";

/** The path of Node, in that version; `npx` fetches it when needed. */
export async function nodePath(): Promise<string> {
  return (await output("npx", ["-y", `node@${NODE_VERSION}`, "-p", "process.execPath"])).trim();
}

/** Installs `node_modules` as `bun.lock` says; quick when it is up to date. */
export async function installPackages(bun: string): Promise<void> {
  await output(bun, ["install", "--frozen-lockfile"]);
}
