/** `bun test ./examples/rover/bun.test.ts` */
import { expect, test } from "bun:test";
import { Code } from "@connectrpc/connect";
import { dial, DialOptions } from "@viam-dial/dial";
import { approach } from "./rover.ts";
import { startWorld } from "./world.ts";

test("the rover stops in front of the wall", async () => {
  const { machine, powers } = await startWorld();
  await using _ = machine;
  const options = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId, { insecure: true });
  await using channel = await dial(machine.address, options);
  expect(await approach(channel, 1.2)).toBe(1);
  expect(powers).toEqual([0.5, 0]);
});

test("the rover stops when its sensor fails", async () => {
  const { machine, powers } = await startWorld();
  await using _ = machine;
  const options = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId, { insecure: true });
  await using channel = await dial(machine.address, options);
  machine.faults = { only: (path) => path.includes("Sensor"), refuse: Code.Internal };
  await expect(approach(channel, 1.2)).rejects.toMatchObject({ code: Code.Internal });
  expect(powers).toEqual([0.5, 0]);
});
