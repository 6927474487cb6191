/** Runs a program of the project in a process of its own, on the runtime that runs the test. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtime } from "../harness.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Settings of a program. */
export interface ChildOptions {
  readonly args?: readonly string[];
  /** Deno's permissions, such as `--allow-net`; all by default. Bun has none. */
  readonly permissions?: readonly string[];
  /** Lets the program collect garbage by `gc()`; on Bun it has `Bun.gc` anyway. */
  readonly exposeGc?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** A program with arguments that runs it, such as `unshare --net`. */
  readonly within?: readonly string[];
  /** Its standard input, or a marker that it is written later. By default there is none. */
  readonly input?: string | { readonly open: true };
}

/** The end of a program. */
export interface ChildExit {
  readonly code: number | null;
  /** The signal that ended it. */
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Time from its last line to its end, in milliseconds. */
  readonly lingeredMs: number;
}

/** A running program. Disposing of it kills it, if it still runs. */
export interface Child extends AsyncDisposable {
  readonly pid: number;
  /** Sends it a signal. */
  kill(signal: "SIGTERM" | "SIGINT" | "SIGKILL" | "SIGSTOP" | "SIGCONT"): void;
  /** Resolves with the next line of its standard output; rejects if it ends before. */
  line(): Promise<string>;
  readonly exit: Promise<ChildExit>;
  /** Writes to its standard input. */
  write(text: string): void;
  /** Ends its standard input. */
  endInput(): void;
}

/** Starts a program, named from the root of the project. */
export function startProgram(program: string, options: ChildOptions = {}): Child {
  const { args = [], permissions = ["--allow-all"], env = {}, within = [], input, exposeGc = false } =
    options;
  const before = runtime === "deno"
    ? ["run", "--no-prompt", "--no-check", ...permissions, ...(exposeGc ? ["--v8-flags=--expose-gc"] : [])]
    : runtime === "node" && exposeGc
    ? ["--expose-gc"]
    : [];
  const [command, ...rest] = [...within, process.execPath, ...before, program, ...args];
  const child = spawn(command!, rest, {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: "1", ...env },
    // The input is there or not; the type is of the others.
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] as ["pipe", "pipe", "pipe"],
  });
  child.stdin?.on("error", () => {}); // it may end before it has read everything
  if (typeof input === "string") child.stdin?.end(input);
  let stdout = "", stderr = "", read = 0, last = performance.now();
  let wake = Promise.withResolvers<void>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    last = performance.now();
    wake.resolve();
    wake = Promise.withResolvers();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  let over = false;
  const exit = once(child, "exit").then(async ([code, signal]: unknown[]) => {
    const lingeredMs = performance.now() - last;
    await Promise.all([ended(child.stdout), ended(child.stderr)]);
    over = true;
    wake.resolve();
    return { code: code as number | null, signal: signal as string | null, stdout, stderr, lingeredMs };
  });
  // Not `child.kill`: Deno then reports the signal as the cause of the end, whatever the program did with it.
  const kill: Child["kill"] = (signal) => void process.kill(child.pid!, signal);
  return {
    pid: child.pid!,
    kill,
    exit,
    write: (text) => void child.stdin?.write(text),
    endInput: () => void child.stdin?.end(),
    async line() {
      for (;;) {
        const end = stdout.indexOf("\n", read);
        if (end >= 0) {
          const line = stdout.slice(read, end);
          read = end + 1;
          return line;
        }
        if (over) throw new Error(`the program ended before the next line:\n${stdout}\n${stderr}`);
        await wake.promise;
      }
    },
    async [Symbol.asyncDispose]() {
      if (!over) kill("SIGKILL");
      await exit;
    },
  };
}

/** Runs a program to its end. */
export async function runProgram(program: string, options: ChildOptions = {}): Promise<ChildExit> {
  await using child = startProgram(program, options);
  return await child.exit;
}

async function ended(stream: { readonly readableEnded: boolean } & NodeJS.ReadableStream): Promise<void> {
  if (!stream.readableEnded) await once(stream, "end");
}
