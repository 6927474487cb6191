/** `node --test examples/rover/node.test.ts` */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { dial, DialOptions } from "@viam-dial/dial";
import { approach } from "./rover.ts";
import { startWorld } from "./world.ts";

test("the rover stops in front of the wall", async () => {
  const { machine, powers } = await startWorld();
  await using _ = machine;
  const options = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId, { insecure: true });
  await using channel = await dial(machine.address, options);
  assert.equal(await approach(channel, 1.2), 1);
  assert.deepEqual(powers, [0.5, 0]);
});

test("the rover stops when its sensor fails", async () => {
  const { machine, powers } = await startWorld();
  await using _ = machine;
  const options = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId, { insecure: true });
  await using channel = await dial(machine.address, options);
  machine.faults = { only: (path) => path.includes("Sensor"), refuse: Code.Internal };
  await assert.rejects(approach(channel, 1.2), (error) => ConnectError.from(error).code === Code.Internal);
  assert.deepEqual(powers, [0.5, 0]);
});
