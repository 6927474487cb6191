/**
 * Garbage collection of channels: what may be collected, and what must not, each in a process that collects on demand.
 */

import assert from "node:assert/strict";
import { startMachine } from "../../lib/testing/mod.ts";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";

async function run(scenario: string): Promise<string> {
  await using machine = await startMachine();
  await using child = startProgram("tests/channel/collected_program.ts", {
    args: [machine.address, machine.apiKey, machine.apiKeyId, scenario],
    exposeGc: true,
  });
  const said = await child.line();
  if (scenario.startsWith("lost")) {
    while (machine.connections > 4) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await machine.close();
  const { code, signal, stderr } = await child.exit;
  assert.deepEqual([code, signal], [0, null], stderr);
  return said;
}

test(
  "an unreachable ViamChannel is closed with a warning, and its peers are freed",
  async () => {
    assert.match(await run("lost channels over WebRTC"), /then few; warned$/);
  },
  { timeoutMs: 120_000 },
);

test(
  "an unreachable AuthenticatedChannel is closed with a warning, and the process ends by itself",
  async () => {
    assert.equal(await run("lost direct channels"), "warned");
  },
  { timeoutMs: 120_000 },
);

test("a stream whose reader broke off is left, and so is the signal of its caller", async () => {
  assert.equal(await run("streams that were broken off"), "few listeners; 0 warnings");
}, { timeoutMs: 120_000 });

let collected: Promise<string> | undefined;

const kept: readonly [scenario: string, outcome: RegExp][] = [
  ["closed channels", /^0 peers; 0 warnings$/],
  ["a client", /^still here; 0 warnings$/],
  ["the channel of the channel", /^still here; 0 warnings$/],
  ["a stream", /^150 messages; 0 warnings$/],
  ["a call", /^0 warnings; ConnectError: \[canceled\] enough$/],
  ["closed and events", /^0 warnings; true, true$/],
  ["a listener", /^0 warnings$/],
];
for (const [scenario, outcome] of kept) {
  test(`a channel is not collected while it is in use: ${scenario}`, async () => {
    // All of them in one process, which the first test starts.
    assert.match(JSON.parse(await (collected ??= run("kept")))[scenario], outcome);
  }, { timeoutMs: 120_000 });
}
