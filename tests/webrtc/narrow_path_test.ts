import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "../harness.ts";
import { runProgram } from "../process/child.ts";

/** A user namespace gives others than root a network of their own, where that is allowed. */
const UNSHARE = ["unshare", ...process.getuid?.() === 0 ? [] : ["--map-root-user"], "--net"];

function withoutNamespaces(): string | undefined {
  const trial =
    "PATH=$PATH:/usr/sbin:/sbin; ip link set lo mtu 1200 up && ip link add one type veth peer name other";
  const [program, ...args] = [...UNSHARE, "sh", "-c", trial];
  return spawnSync(program!, args, { stdio: "ignore" }).status === 0
    ? undefined
    : "needs network namespaces and `ip`";
}

test("the engine's packets fit a path of 1,200 bytes", async () => {
  const program = "tests/webrtc/narrow_path_program.ts";
  const { stdout, stderr } = await runProgram(program, { args: ["1200"], within: UNSHARE });
  assert.deepEqual([stdout.trim(), stderr], ["2000\n60000", ""]);
}, { skip: withoutNamespaces() });
