import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { type Machine, startMachine } from "../../lib/testing/mod.ts";
import { dial } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function connections(machine: Machine, count: number): Promise<void> {
  await until(() => machine.connections === count);
}

test(
  "a machine gives up a killed caller after some 5 s, cancels its call, and keeps an idle one",
  async () => {
    await using machine = await startMachine({ auth: "none" });
    await using idle = await dial(machine.address, { insecure: true });
    const lost: unknown[] = [];
    idle.addEventListener("disconnected", (event) => lost.push(event));
    await using silent = startProgram("tests/calls/programs/caller.ts", { args: [machine.address, "idle"] });
    await using calling = startProgram("tests/calls/programs/caller.ts", {
      args: [machine.address, "calling", "vanished"],
    });
    await Promise.all([silent.line(), calling.line()]);
    await connections(machine, 3);
    silent.kill("SIGKILL");
    calling.kill("SIGKILL");
    const killed = performance.now();
    await connections(machine, 1);
    const noticed = performance.now() - killed;
    console.log(`given up ${Math.round(noticed)} ms after SIGKILL`);
    // The engine alone takes 30 s and more.
    assert.ok(noticed > 2_000 && noticed < 15_000, `${noticed} ms`);
    const probe = createClient(ProbeService, idle);
    assert.equal((await probe.witness({ token: "vanished" })).cancelled, true);
    assert.deepEqual(lost, []);
    assert.equal(machine.connections, 1);
  },
  { timeoutMs: 60_000 },
);

test("a machine keeps callers whose programs are busy", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using child = startProgram("tests/calls/programs/busy_caller.ts", { args: [machine.address] });
  await child.line();
  const start = performance.now();
  assert.equal(await child.line(), "still connected");
  assert.ok(performance.now() - start > 7_000);
  assert.equal(machine.connections, 1);
}, { timeoutMs: 60_000 });
