/** Runs other programs for the tools. */

import manifest from "../package.json" with { type: "json" };

/** The checkout, with a slash at the end. */
export const ROOT: string = new URL("../", import.meta.url).pathname;

/** Settings of a program's run. */
export interface RunOptions {
  readonly env?: Record<string, string>;
  /** Ends the program after this many milliseconds. */
  readonly timeoutMs?: number;
  /**
   * The treatment of the program's output: `"pass"` shows it, the default; `"tee"` shows it, and returns its standard
   * output; `"keep"` shows nothing, and returns standard output and standard error together.
   */
  readonly output?: "pass" | "tee" | "keep";
}

/** The end of a program. */
export interface RunResult {
  readonly ok: boolean;
  /** The reason why it is not `ok`. */
  readonly reason: string;
  /** Its output, with `"tee"` and `"keep"`. */
  readonly output: string;
}

/** Time that output is awaited after a program's end: a child that it left behind may hold the pipe open. */
const DRAIN_MS = 2_000;

/** Runs a program in the checkout. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { env = {}, timeoutMs, output: mode = "pass" } = options;
  const expired = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  const child = new Deno.Command(command, {
    args: [...args],
    cwd: ROOT,
    env,
    stdin: "null",
    stdout: mode === "pass" ? "inherit" : "piped",
    stderr: mode === "keep" ? "piped" : "inherit",
    ...(expired === undefined ? {} : { signal: expired }),
  }).spawn();
  const readers = (mode === "pass" ? [] : mode === "tee" ? [child.stdout] : [child.stdout, child.stderr])
    .map((pipe) => pipe.getReader());
  let output = "";
  const read = Promise.all(readers.map(async (reader) => {
    const decoder = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (mode === "tee") Deno.stdout.writeSync(part.value);
      output += decoder.decode(part.value, { stream: true });
    }
  }));
  const { success, code, signal } = await child.status;
  const timer = setTimeout(() => readers.forEach((reader) => reader.cancel()), DRAIN_MS);
  await read;
  clearTimeout(timer);
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
