import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { buildGo } from "./requirements.ts";

/** A running Go machine. */
export interface GoMachine extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** Number of its two answerers that have an offer; known with the flag `-report`. */
  readonly busy: number;
  /** Waits until so many have, for 15 seconds at most. */
  untilBusy(count: number): Promise<void>;
  /** Ends its peer connections. */
  drop(): void;
  /** Kills it without a word. */
  kill(): Promise<void>;
}

/** Starts the Go peer; `args` are its flags. It ends with its standard input. */
export async function startGoMachine(...args: string[]): Promise<GoMachine> {
  const program = spawn(join(await buildGo(), "machine"), args, { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(program, "exit");
  const lines = createInterface({ input: program.stdout });
  const first = await Promise.race([once(lines, "line"), exited]);
  if (typeof first[0] !== "string" || !first[0].startsWith("{")) {
    throw new Error(`the Go machine did not start: ${first.join(" ")}`);
  }
  let busy = 0;
  lines.on("line", (line) => {
    busy = (JSON.parse(line) as { busy: number }).busy;
  });
  const { host } = JSON.parse(first[0]) as { host: string };
  return {
    address: host,
    get busy() {
      return busy;
    },
    async untilBusy(count) {
      const late = AbortSignal.timeout(15_000);
      while (busy !== count) await once(lines, "line", { signal: late });
    },
    drop: () => void program.stdin.write("drop\n"),
    async kill() {
      // Not by `program.kill`: Deno's closes the standard input first, at which the machine says goodbye.
      process.kill(program.pid!, "SIGKILL");
      await exited;
    },
    async [Symbol.asyncDispose]() {
      program.stdin.end();
      await exited;
    },
  };
}
