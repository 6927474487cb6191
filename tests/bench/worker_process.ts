import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { bunPath } from "../../tools/commands.ts";
import { pythonEnvironment, pythonStubs } from "../interop/requirements.ts";
import type { Answer, Command } from "./subject.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const HERE = fileURLToPath(new URL("./", import.meta.url));

/** Limit of one command, in milliseconds. */
const COMMAND_TIMEOUT_MS = 300_000;

/** The runtime of a subject. */
export type Runtime = "deno" | "bun" | "node" | "python";

/** The command that starts a program on each runtime. */
export interface Runtimes {
  readonly deno: readonly string[];
  readonly bun: readonly string[];
  readonly node: readonly string[];
  readonly python: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** Finds the runtimes, and builds what Node and Python need. */
export async function prepareRuntimes(): Promise<Runtimes> {
  const bun = await bunPath();
  const run = promisify(execFile);
  await run(bun, ["install", "--frozen-lockfile"], { cwd: ROOT });
  const folder = join(ROOT, ".cache/bench");
  await mkdir(folder, { recursive: true });
  const bundle = join(folder, "grpc_js_worker.mjs");
  await run(bun, [
    ...["build", join(HERE, "grpc_js_worker.ts"), "--target=node", "--external", "@grpc/grpc-js"],
    ...["--outfile", bundle],
  ], { cwd: ROOT });
  const python = await pythonEnvironment();
  return {
    deno: [process.execPath, "run", "--allow-all", "--no-check", "--v8-flags=--expose-gc"],
    bun: [bun],
    node: ["node", bundle],
    python: [python, join(HERE, "worker.py")],
    env: { ...process.env, NO_COLOR: "1", PYTHONPATH: await pythonStubs(python) },
  };
}

/** A subject in a process of its own. */
export class Worker {
  readonly #child: ChildProcess;
  readonly #waiting: ((answer: Answer) => void)[] = [];
  readonly #exited: Promise<void>;
  /** `runtime/subject`. */
  readonly name: string;

  constructor(runtimes: Runtimes, runtime: Runtime, subject: string) {
    this.name = `${runtime}/${subject}`;
    const script = runtime === "deno" || runtime === "bun" ? [join(HERE, "worker.ts")] : [];
    const [command, ...args] = [...runtimes[runtime], ...script, subject];
    const child = spawn(command!, args, { cwd: ROOT, env: runtimes.env, stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once("exit", () => resolve()));
    void this.#exited.then(() => {
      for (const settle of this.#waiting.splice(0)) settle({ ok: false, error: "the process ended" });
    });
    child.stdin!.on("error", () => {});
    createInterface({ input: child.stdout! }).on("line", (line) => {
      this.#waiting.shift()?.(JSON.parse(line));
    });
  }

  /** Sends a command, and waits for its answer. */
  async do(command: Command): Promise<Answer> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      return { ok: false, error: "the process has ended" };
    }
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.push(resolve);
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`);
    const timer = setTimeout(() => {
      resolve({ ok: false, error: `no answer after ${COMMAND_TIMEOUT_MS} ms` });
      this.#child.kill("SIGKILL");
    }, COMMAND_TIMEOUT_MS);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 15_000);
    await this.do({ op: "exit" });
    await this.#exited;
    clearTimeout(timer);
  }
}
