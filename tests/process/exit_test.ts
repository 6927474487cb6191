/** The end of a process that dials: by itself, unless a WebRTC channel is open. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Machine, startMachine } from "../../lib/testing/mod.ts";
import { runtime, test } from "../harness.ts";

const PROGRAM = fileURLToPath(new URL("exit_program.ts", import.meta.url));

/** Time that a process may take to end once its program has finished, in milliseconds. */
const EXIT_MS = 2_000;

/** Limit of a whole run, in milliseconds: starting a runtime takes a while on a busy computer. */
const RUN_MS = 60_000;

/** The end of a program. */
interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  /** Every line that it wrote to its standard output. */
  readonly lines: readonly string[];
  readonly stderr: string;
  /** Time from its last line to its end, in milliseconds. */
  readonly lingeredMs: number;
}

/** Runs a scenario of exit_program.ts; `onLine` receives its lines, and may send it signals. */
async function run(
  scenario: string,
  machine: Machine,
  onLine: (line: string, kill: (signal: "SIGTERM" | "SIGINT") => void) => void = () => {},
): Promise<Ending> {
  const args = runtime === "deno" ? ["run", "--no-check", "--allow-all", PROGRAM] : [PROGRAM];
  const child = spawn(
    process.execPath,
    [...args, scenario, machine.address, machine.apiKey, machine.apiKeyId],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS);
  let lastLineAt = performance.now();
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => {
    lastLineAt = performance.now();
    lines.push(line);
    // Not `child.kill`: Deno then takes the signal for the end of the process, whatever that did.
    onLine(line, (signal) => process.kill(child.pid!, signal));
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  let exitedAt = 0;
  child.once("exit", () => exitedAt = performance.now());
  const [code, signal] = await once(child, "close") as [number | null, string | null];
  clearTimeout(timer);
  reader.close();
  return { code, signal, lines, stderr, lingeredMs: exitedAt - lastLineAt };
}

/** Checks that the program did everything, and ended by itself, with success and soon. */
function assertEnded(ending: Ending, lines: readonly string[]): void {
  const told = JSON.stringify(ending);
  assert.deepEqual(ending.lines, lines, told);
  assert.deepEqual([ending.code, ending.signal], [0, null], told);
  assert.ok(ending.lingeredMs < EXIT_MS, `lingered for ${ending.lingeredMs} ms`);
}

function testExit(title: string, act: (machine: Machine) => Promise<void>): void {
  test(title, async () => {
    await using machine = await startMachine();
    await act(machine);
  }, { timeoutMs: RUN_MS + 10_000 });
}

for (
  const [scenario, what] of [
    ["closed", "after close() of a WebRTC channel"],
    ["direct closed", "after close() of a direct channel"],
    ["wrong key", "after dials that were refused"],
    ["refused", "after dials that reached nobody"],
    ["interceptor throws", "after an interceptor has thrown, and close()"],
    ["direct left open", "with a direct channel that was never closed"],
    ["direct left open, native gRPC", "with a direct channel of native gRPC that was never closed"],
  ] as const
) {
  testExit(`the process ends by itself ${what}`, async (machine) => {
    assertEnded(await run(scenario, machine), ["done"]);
  });
}

for (
  const [scenario, what] of [
    ["timeout", "after dials that took too long"],
    ["abort", "after dials that were aborted"],
  ] as const
) {
  testExit(`the process ends by itself ${what}`, async (machine) => {
    machine.faults = { silent: true };
    assertEnded(await run(scenario, machine), ["done"]);
  });
}

test(
  "the process ends by itself after a dial that was aborted while its offer waited in the queue",
  async () => {
    await using machine = await startMachine({ webrtc: "signaling-only" });
    assertEnded(await run("abort, with the offer in the queue", machine), ["done"]);
  },
  { timeoutMs: RUN_MS + 10_000 },
);

testExit("the process ends by itself after the last attempt to reconnect", async (machine) => {
  const ending = await run("reconnect exhausted", machine, (line) => {
    if (line === "ready") void machine.close();
  });
  assertEnded(ending, ["ready", "done"]);
});

testExit(
  "a logger, onEvent or listener that throws or rejects ends neither the dial nor the process",
  async (machine) => {
    const ending = await run("callbacks throw", machine);
    assertEnded(ending, ["done"]);
    // Once for the logger of each of the two dials; what onEvent and the listener throw is reported to that logger.
    for (const error of ["thrown by the callback", "rejected by the callback"]) {
      assert.equal(ending.stderr.split(error).length - 1, 1, ending.stderr);
    }
  },
);

testExit("a WebRTC channel keeps the process until close()", async (machine) => {
  assertEnded(await run("left open, closed by a timer", machine), ["done", "closed"]);
});

for (const name of ["SIGTERM", "SIGINT"] as const) {
  testExit(`a process with an open WebRTC channel ends on ${name}`, async (machine) => {
    const ending = await run("left open until a signal", machine, (line, kill) => {
      if (line === "done") kill(name);
    });
    assert.deepEqual([ending.signal, ending.lines], [name, ["ready", "done"]], JSON.stringify(ending));
    assert.ok(ending.lingeredMs < EXIT_MS, `lingered for ${ending.lingeredMs} ms`);
  });
}

testExit("a process that closes its WebRTC channel on a signal ends by itself then", async (machine) => {
  const ending = await run("left open until a signal is handled", machine, (line, kill) => {
    if (line === "done") kill("SIGTERM");
  });
  assertEnded(ending, ["ready", "done", "closed"]);
});
