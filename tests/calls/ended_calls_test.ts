/** Streams whose end has come, though one side has not taken note of it. */

import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { type Machine, ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { dial, type DialOptions, type ViamChannel } from "../../mod.ts";
import { watchTimers } from "../dial/leaks.ts";
import { test } from "../harness.ts";

const WAYS: readonly [name: string, options: DialOptions][] = [
  ["over WebRTC", {}],
  ["directly", { disableWebrtc: true }],
  ["directly, native gRPC", { disableWebrtc: true, protocol: "grpc" }],
];

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function machineThatEndsFirst(): Promise<Machine> {
  return await startMachine({
    auth: "none",
    routes: (router) =>
      router.service(ProbeService, {
        async *exchange() {
          for (let index = 0; index < 5; index++) yield { data: Uint8Array.of(index) };
        },
      }),
  });
}

for (const [name, way] of WAYS) {
  const open = (machine: Machine): Promise<ViamChannel> => dial(machine.address, { insecure: true, ...way });

  test(
    `an input that throws after its call has ended well takes nothing from the reader, ${name}`,
    async () => {
      await using machine = await machineThatEndsFirst();
      await using channel = await open(machine);
      const third = Promise.withResolvers<void>();
      async function* input() {
        yield {};
        // The end of the call came with the first message, or soon after: before the third is read.
        await third.promise;
        throw new Error("the camera is unplugged");
      }
      const seen: number[] = [];
      for await (const { data } of createClient(ProbeService, channel).exchange(input())) {
        seen.push(data[0]!);
        await pause(80);
        if (seen.length === 3) third.resolve();
      }
      assert.deepEqual(seen, [0, 1, 2, 3, 4]);
    },
  );

  test(`the deadline of a stream that is left, or never read, ends with its channel, ${name}`, async () => {
    await using machine = await startMachine({ auth: "none" });
    const channel = await open(machine);
    const client = createClient(ProbeService, channel);
    const timeoutMs = 61_234;
    using timers = watchTimers();
    for await (const _ of client.download({ size: 1, count: 100 }, { timeoutMs })) break;
    await channel.stream(ProbeService.method.download, undefined, timeoutMs, undefined, one());
    await channel.close();
    await pause(20);
    const left = timers.running.filter((started) =>
      started.includes("boundOf") || started.includes("Deadline")
    );
    assert.deepEqual(left, []);
    async function* one() {
      yield { size: 1, count: 100 };
    }
  });

  test(`a slow reader of a stream that ended in time reads all of it, ${name}`, async () => {
    await using machine = await startMachine({ auth: "none" });
    await using channel = await open(machine);
    let count = 0;
    const messages = createClient(ProbeService, channel).download({ size: 1, count: 10 }, { timeoutMs: 400 });
    for await (const _ of messages) {
      count++;
      await pause(80);
    }
    assert.equal(count, 10);
  });
}

test("a call that has waited for a reconnect tells the machine the time that is left then", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using channel = await dial(machine.address, { insecure: true });
  machine.faults = { delayMs: 600, only: (path) => path.includes("Signaling") };
  const lost = new Promise((resolve) => channel.addEventListener("disconnected", resolve));
  machine.dropConnections();
  await lost;
  const { timeoutMs } = await createClient(ProbeService, channel).inspect({}, { timeoutMs: 20_000 });
  assert.ok(timeoutMs < 19_500n, `${timeoutMs} ms`);
});
