import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { createClient } from "@connectrpc/connect";
import { ShellService } from "../../examples/proto/gen/viam/service/shell/v1/shell_pb.ts";
import { robotRoutes } from "../../examples/robot.ts";
import { type Machine, startMachine } from "../../lib/testing/mod.ts";
import { dialDirect } from "../../mod.ts";
import { runtime, test } from "../harness.ts";
import { type ChildExit, type ChildOptions, runProgram } from "../process/child.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PERMISSIONS = ["--allow-net", "--allow-ffi", "--allow-read", "--allow-env"];
const MAX_LINES = 40;

/** Runs an example against the machine, or against the one that it starts itself. */
async function runExample(name: string, machine?: Machine, options: ChildOptions = {}): Promise<ChildExit> {
  const env: Record<string, string> = machine === undefined ? {} : {
    VIAM_ADDRESS: machine.address,
    VIAM_API_KEY: machine.apiKey,
    VIAM_API_KEY_ID: machine.apiKeyId,
  };
  const exit = await runProgram(`examples/${name}.ts`, { permissions: PERMISSIONS, env, ...options });
  assert.equal(exit.stderr, "");
  assert.equal(exit.code, 0);
  return exit;
}

function linesOf({ stdout }: ChildExit): string[] {
  return stdout.trimEnd().split("\n");
}

test("an example is no longer than 40 lines", async () => {
  // The demo and the machine are longer programs; robot.ts is what the examples dial.
  const programs = new Set(["demo.ts", "machine.ts", "robot.ts"]);
  for (const folder of ["examples/", "examples/rover/"]) {
    for (const name of (await readdir(ROOT + folder)).filter((name) => name.endsWith(".ts"))) {
      if (programs.has(name)) continue;
      const lines = (await readFile(ROOT + folder + name, "utf8")).trimEnd().split("\n").length;
      assert.ok(lines < MAX_LINES, `${folder}${name} has ${lines} lines`);
    }
  }
});

test("read_a_sensor prints the reading of another machine and of its own", async () => {
  await using machine = await startMachine({ routes: robotRoutes });
  assert.deepEqual(linesOf(await runExample("read_a_sensor", machine)), ["celsius 21.5"]);
  assert.equal(machine.callsTo("/viam.component.sensor.v1.SensorService/GetReadings").webrtc, 1);
  assert.deepEqual(linesOf(await runExample("read_a_sensor")), ["celsius 21.5"]);
}, { timeoutMs: 120_000 });

test(
  "drive_a_motor ends a turn at its deadline, here and on the machine, and stops the motor",
  async () => {
    await using machine = await startMachine({ routes: robotRoutes });
    const lines = linesOf(await runExample("drive_a_motor", machine));
    assert.deepEqual(lines, [
      "turned 1 times",
      "not done after 300 ms: given up",
      "the wheel stopped on the way",
    ]);
    assert.equal(machine.callsTo("/viam.component.motor.v1.MotorService/Stop").webrtc, 2);
    assert.equal(machine.callsTo("/viam.robot.v1.RobotService/StartSession").webrtc, 1);
  },
  { timeoutMs: 120_000 },
);

test("official_clients lists resources, reads a sensor and turns a motor, with a session", async () => {
  await using machine = await startMachine({ routes: robotRoutes });
  assert.deepEqual(linesOf(await runExample("official_clients", machine)), [
    "sensor thermometer",
    "motor wheel",
    "celsius 21.5",
    "turned to 1",
  ]);
  assert.equal(machine.callsTo("/viam.robot.v1.RobotService/StartSession").webrtc, 1);
}, { timeoutMs: 120_000 });

test("chart draws a bar for every tick of a stream, and exits", async () => {
  await using machine = await startMachine({ routes: robotRoutes });
  const lines = linesOf(await runExample("chart", machine));
  assert.equal(lines.length, 24);
  const widths = lines.map((line) => /^ *\d+ rpm (█+)$/.exec(line)?.[1]?.length ?? 0);
  assert.ok(Math.min(...widths) > 0);
  assert.ok(Math.max(...widths) > 1.5 * Math.min(...widths), "the chart is flat");
}, { timeoutMs: 120_000 });

test("upload_a_file shows its progress, and the machine receives the same bytes", async () => {
  const lines = linesOf(await runExample("upload_a_file", undefined, { args: ["deno.lock"] }));
  const percent = lines.map((line) => /^deno\.lock: (\d+) %$/.exec(line)?.[1]).filter((found) =>
    found !== undefined
  );
  assert.equal(percent.at(-1), "100");
  assert.deepEqual(percent.map(Number).toSorted((a, b) => a - b), percent.map(Number));
  const [sent, arrived] = ["sent", "arrived"].map((word) =>
    new RegExp(`${word}.*sha256 (\\w{16})$`).exec(lines.find((line) => line.includes(word)) ?? "")?.[1]
  );
  assert.ok(sent !== undefined && sent === arrived, `${sent} was sent, ${arrived} arrived`);
  assert.equal(lines.at(-1), "the machine has it");
}, { timeoutMs: 120_000 });

test("the shell of the examples refuses what viam-server refuses", async () => {
  await using machine = await startMachine({ auth: "none", routes: robotRoutes });
  await using channel = await dialDirect(machine.address, { insecure: true });
  const shell = createClient(ShellService, channel);
  const metadata = { case: "metadata" as const, value: { name: "shell" } };
  const piece = (value: object) => ({ case: "fileData" as const, value });
  const cases: readonly (readonly [requests: readonly CopyFilesRequest[], text: RegExp])[] = [
    [[piece({ name: "a" })], /expected copy request metadata/],
    [[metadata, metadata], /expected copy request file data/],
    [[metadata, piece({ data: Uint8Array.of(1) })], /file name blank/],
    [
      [metadata, piece({ name: "a" }), piece({ name: "a" })],
      /unexpected file name "a" while reading current file "a"/,
    ],
  ];
  for (const [requests, text] of cases) {
    const acknowledged = Array.fromAsync(shell.copyFilesToMachine((async function* () {
      for (const request of requests) yield { request };
    })()));
    await assert.rejects(acknowledged, text);
  }
}, { timeoutMs: 60_000 });

type CopyFilesRequest = { readonly case: "metadata"; readonly value: object } | {
  readonly case: "fileData";
  readonly value: object;
};

test("chat answers every line, and ends with its input", async () => {
  await using machine = await startMachine();
  const exit = await runExample("chat", machine, { input: "hello\nwho is there?\n" });
  assert.deepEqual(linesOf(exit), ["machine: hello", "machine: who is there?", "bye"]);
}, { timeoutMs: 120_000 });

test("many_machines lists the resources of each machine, and names the absent one", async () => {
  const lines = linesOf(await runExample("many_machines"));
  assert.equal(lines.length, 6);
  for (const line of lines.slice(0, 5)) assert.match(line, /^(?:host|peer-reflexive): thermometer, wheel$/);
  assert.match(lines[5]!, /^not there: Cannot dial 127\.0\.0\.1:1: /);
}, { timeoutMs: 120_000 });

test("reconnect shows the loss and goes on with the same client", async () => {
  const lines = linesOf(await runExample("reconnect"));
  assert.deepEqual([lines[0], lines[1], lines[2]], ["before 21.5", "lost", "attempt 1"]);
  assert.deepEqual(lines.slice(-2), ["back, by webrtc", "after 21.5"]);
}, { timeoutMs: 120_000 });

test("reconnect ends on a machine whose connection nobody cuts, over WebRTC and directly", async () => {
  await Promise.all([true, false].map(async (webrtc) => {
    await using machine = await startMachine({ routes: robotRoutes, webrtc });
    assert.deepEqual(linesOf(await runExample("reconnect", machine, { args: ["0.1"] })), [
      "before 21.5",
      "after 21.5",
    ]);
  }));
}, { timeoutMs: 120_000 });

test("the test runner of each runtime runs the rover's tests", async () => {
  const { args, summary } = {
    deno: {
      args: [
        "test",
        "--no-check",
        "--allow-net",
        "--allow-ffi",
        "--allow-read",
        "examples/rover/deno_test.ts",
      ],
      summary: /ok \| 2 passed \| 0 failed/,
    },
    bun: { args: ["test", "./examples/rover/bun.test.ts"], summary: /2 pass\n\s*0 fail/ },
    node: { args: ["--test", "examples/rover/node.test.ts"], summary: /pass 2\n.*fail 0/ },
  }[runtime];
  // Node tells its children with it that they are part of its run, and have nothing to say themselves.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const { promise, resolve } = Promise.withResolvers<{ code: unknown; text: string }>();
  execFile(
    process.execPath,
    args,
    { cwd: ROOT, env: { ...environment, NO_COLOR: "1" } },
    (error, stdout, stderr) => resolve({ code: error?.code ?? 0, text: stdout + stderr }),
  );
  const { code, text } = await promise;
  assert.equal(code, 0, text);
  assert.match(text, summary);
}, { timeoutMs: 120_000 });
