/**
 * Dials in a network namespace of its own, where that is allowed: on computers with few interfaces, or odd ones, or whose
 * network changes.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "../harness.ts";
import { runProgram, startProgram } from "./child.ts";

/** Time that no program takes between two looks at the computer, in milliseconds. */
const STOPPED_MS = 3_500;

const PATH = "PATH=$PATH:/usr/sbin:/sbin";
/** A user namespace gives others than root a network of their own. */
const UNSHARE = ["unshare", ...process.getuid?.() === 0 ? [] : ["--map-root-user"], "--net"];
const ZONE = [
  "ip link add one type veth peer name two",
  "ip link set one up",
  "ip link set two up",
  "ip -6 address add fe80::77/64 dev one nodad",
  // The engine has no use for addresses of a single link.
  "ip address add 10.77.0.1/24 dev one",
];

function without(commands: readonly string[]): string | undefined {
  const [program, ...args] = [
    ...UNSHARE,
    "sh",
    "-c",
    `${PATH}; ${["ip link set lo up", ...commands].join(" && ")}`,
  ];
  return spawnSync(program!, args, { stdio: "ignore" }).status === 0
    ? undefined
    : "needs network namespaces and `ip`";
}

async function run(program: string, commands: readonly string[], argument: object): Promise<string> {
  const setUp = `${PATH}; ${["ip link set lo up", ...commands].join(" && ")} && exec "$@"`;
  const { stdout, stderr } = await runProgram(`tests/process/programs/${program}`, {
    within: [...UNSHARE, "sh", "-c", setUp, "sh"],
    args: [JSON.stringify(argument)],
  });
  assert.equal(stderr, "");
  return stdout;
}

const startAndDial = async (commands: readonly string[], argument: object) =>
  JSON.parse(await run("start_and_dial.ts", commands, argument));

test("startMachine() and dial() work over WebRTC on a computer that has loopback alone", async () => {
  const { message, kind, path } = await startAndDial([], {});
  assert.equal(message, "hello");
  assert.equal(kind, "webrtc");
  assert.match(path.local, /^127\.0\.0\.1:\d+$/);
}, { skip: without([]) });

test("an address with a zone is dialed by its zone", async () => {
  for (const options of [{ disableWebrtc: true }, {}]) {
    const dialed = await startAndDial(ZONE, { machine: { hostname: "::" }, host: "[fe80::77%one]", options });
    assert.equal(dialed.message, "hello", JSON.stringify(options));
  }
}, { skip: without(ZONE) });

test(
  "a direct channel asks at once when an address or a default route changes, and calls wait for the answer",
  async () => {
    const stdout = await run("silent_connection.ts", ZONE, [
      ["ip", "address", "add", "10.77.0.2/24", "dev", "one"],
      ["ip", "route", "add", "default", "via", "10.77.0.3"],
    ]);
    assert.equal(stdout, "again 2\nagain 3\n");
  },
  { skip: without(ZONE) },
);

test("a direct channel asks at once when its program was stopped, and calls wait for the answer", async () => {
  await using child = startProgram("tests/process/programs/silent_connection.ts");
  assert.equal(await child.line(), "silent");
  child.kill("SIGSTOP");
  await delay(STOPPED_MS);
  child.kill("SIGCONT");
  const { stdout, stderr } = await child.exit;
  assert.equal(stdout, "silent\nagain 2\n", stderr);
});
