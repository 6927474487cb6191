/** Dials in a network namespace of its own, where that is allowed: on computers with few interfaces, or odd ones. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "../harness.ts";
import { runProgram } from "./child.ts";

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

async function startAndDial(commands: readonly string[], argument: object) {
  const setUp = `${PATH}; ${["ip link set lo up", ...commands].join(" && ")} && exec "$@"`;
  const { stdout, stderr } = await runProgram("tests/process/programs/start_and_dial.ts", {
    within: [...UNSHARE, "sh", "-c", setUp, "sh"],
    args: [JSON.stringify(argument)],
  });
  assert.equal(stderr, "");
  return JSON.parse(stdout);
}

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
