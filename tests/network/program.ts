/**
 * Runs programs of the project on a host of the lab, each in a process of its own, and gives them commands line by
 * line.
 */

import { ROOT } from "../../tools/commands.ts";
import { buildGo } from "../interop/requirements.ts";
import type { Host } from "./lab.ts";
import { lines } from "./lines.ts";

/** A runtime that runs a program. */
export interface Runtime {
  readonly name: "deno" | "bun" | "node";
  readonly path: string;
}

/** A running program. */
export interface Program extends AsyncDisposable {
  readonly pid: number;
  /** Its first answer, given when it is ready. */
  readonly greeting: unknown;
  /** Sends a command, and returns its result. Rejects with the error that the program reports. */
  // deno-lint-ignore no-explicit-any
  ask(command: string, argument?: unknown, timeoutMs?: number): Promise<any>;
  /** Ends its input, upon which it should end by itself; kills it if it does not within `timeoutMs`. */
  end(timeoutMs?: number): Promise<{ readonly code: number; readonly lingeredMs: number }>;
  /** Kills it, and waits for its end. */
  kill(): Promise<void>;
}

/** A process, and what it has written to its standard error. */
interface Process {
  readonly child: Deno.ChildProcess;
  /** Resolves at its end, with an error that has what it wrote. */
  readonly over: Promise<{ readonly status: Deno.CommandStatus; readonly error: Error }>;
  /** Its output so far. */
  errors(): string;
  write(line: string): Promise<void>;
  end(timeoutMs?: number): Promise<{ readonly code: number; readonly lingeredMs: number }>;
  kill(): Promise<void>;
}

const running = new Set<Deno.ChildProcess>();

/** Kills every program that still runs, at once. */
export function killPrograms(): void {
  for (const child of running) {
    try {
      child.kill("SIGKILL");
    } catch {
      // Gone by itself.
    }
  }
}

/** The process numbers of the programs that run now. */
export function runningPrograms(): number[] {
  return Array.from(running, ({ pid }) => pid);
}

/** Starts a process; `hear` gets the lines of its output. */
function launch(
  host: Host,
  name: string,
  command: string,
  args: readonly string[],
  hear: (line: string) => void,
  env: Readonly<Record<string, string>> = {},
): Process {
  const child = host.start(command, args, {
    cwd: ROOT,
    // Deno would look for a newer version of itself, by a name that no lab knows.
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  running.add(child);
  void child.status.then(() => running.delete(child));
  const writer = child.stdin.getWriter();
  let errors = "";
  const read = (async () => {
    for await (const line of lines(child.stdout)) hear(line);
  })().catch((error) => errors += String(error));
  const readErrors = (async () => {
    for await (const line of lines(child.stderr)) errors += `${line}\n`;
  })();
  const over = Promise.all([child.status, read, readErrors]).then(([status]) => ({
    status,
    error: new Error(`${name} ended with ${status.signal ?? status.code}\n${errors}`),
  }));
  return {
    child,
    over,
    errors: () => errors,
    write: (line) => writer.write(new TextEncoder().encode(`${line}\n`)).catch(() => {}),
    async end(timeoutMs = 20_000) {
      const began = performance.now();
      await writer.close().catch(() => {});
      const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
      const { status: { code, signal } } = await over;
      clearTimeout(timer);
      return { code: signal === null ? code : -1, lingeredMs: performance.now() - began };
    },
    async kill() {
      try {
        child.kill("SIGKILL");
      } catch {
        // Gone by itself.
      }
      await writer.close().catch(() => {});
      await over;
    },
  };
}

/**
 * Starts the Go peer's machine with these flags, and waits until it listens. The command "drop" ends its peer
 * connections; it takes no others.
 */
export async function startGoMachine(host: Host, flags: readonly string[]): Promise<Program> {
  const greeted = Promise.withResolvers<unknown>();
  const { child, over, write, end, kill } = launch(
    host,
    "the Go machine",
    `${await buildGo()}/machine`,
    flags,
    (line) => greeted.resolve(JSON.parse(line)),
  );
  void over.then(({ error }) => greeted.reject(error));
  return {
    pid: child.pid,
    greeting: await greeted.promise,
    ask: (command) => write(command),
    end,
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

/** Starts `tests/network/programs/<name>.ts`, and waits until it is ready. */
export async function startProgram(
  host: Host,
  runtime: Runtime,
  name: string,
  argument: unknown = {},
  permissions: readonly string[] = ["--allow-all"],
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const file = `tests/network/programs/${name}.ts`;
  const before = runtime.name === "deno" ? ["run", "--no-check", "--no-prompt", ...permissions] : [];
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let asked = 0;
  let gone: Error | undefined;
  const said = new Map<number, unknown>();

  function answer(id: number, message: { result?: unknown; error?: string }): void {
    const question = waiting.get(id);
    waiting.delete(id);
    if (question === undefined) said.set(id, message.result);
    else if (message.error === undefined) question.resolve(message.result);
    else question.reject(new Error(message.error));
  }

  const started = launch(
    host,
    `${name} on ${runtime.name}`,
    runtime.path,
    [...before, file, JSON.stringify(argument)],
    (line) => {
      const message = JSON.parse(line);
      answer(message.id, message);
    },
    env,
  );
  void started.over.then(({ error }) => {
    gone = error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  });

  function expect(id: number, timeoutMs: number): Promise<unknown> {
    if (gone !== undefined) return Promise.reject(gone);
    if (said.has(id)) return Promise.resolve(said.get(id));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => {
      waiting.delete(id);
      reject(
        new Error(`${name} on ${runtime.name} gave no answer within ${timeoutMs} ms\n${started.errors()}`),
      );
    }, timeoutMs);
    waiting.set(id, { resolve, reject });
    return promise.finally(() => clearTimeout(timer));
  }

  const greeting = await expect(0, 60_000).catch(async (error) => {
    await started.kill();
    throw error;
  });
  return {
    pid: started.child.pid,
    greeting,
    async ask(command, given = {}, timeoutMs = 60_000) {
      const id = ++asked;
      const answered = expect(id, timeoutMs);
      answered.catch(() => {});
      if (gone === undefined) await started.write(JSON.stringify({ id, command, argument: given }));
      return await answered;
    },
    end: started.end,
    kill: started.kill,
    [Symbol.asyncDispose]: started.kill,
  };
}
