import assert from "node:assert/strict";
import process from "node:process";
import { Code, createClient } from "@connectrpc/connect";
import { dial } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";
import { rejection } from "../transport/suite.ts";

const MIB = 1024 * 1024;
const MESSAGE_BYTES = 64 * 1024;
const MESSAGES = 128 * 16; // 128 MiB
const BUDGET_BYTES = 8 * MIB;
/** By how much memory may rise while a reader stalls; without a budget it would be 128 MiB and more. */
const MOST_RISEN_BYTES = BUDGET_BYTES + 96 * MIB;
/**
 * Most tries of it, all rounds against the memory before the first: what is held is the same in each, what
 * is to be collected depends on when an overloaded machine gives the collector its turn.
 */
const ROUNDS = 3;

/** Memory of this process, in bytes. */
function resident(): number {
  return process.memoryUsage().rss;
}

/** The times of unary calls, now and then until told to stop; in milliseconds. */
async function timed(echo: () => Promise<unknown>, until: () => boolean): Promise<number[]> {
  const times: number[] = [];
  do {
    const start = performance.now();
    await echo();
    times.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, 5));
  } while (!until());
  return times.toSorted((one, other) => one - other);
}

function percentile(sorted: readonly number[], share: number): string {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(2);
}

async function* messages(count: number): AsyncGenerator<{ data: Uint8Array }> {
  const message = { data: new Uint8Array(MESSAGE_BYTES) };
  for (let index = 0; index < count; index++) yield message;
}

const lanes = [
  { name: "WebRTC", options: {} },
  { name: "gRPC-Web", options: { disableWebrtc: true } },
  { name: "native gRPC", options: { disableWebrtc: true, protocol: "grpc" } },
] as const;

for (const { name, options } of lanes) {
  const isHeld = name !== "WebRTC";
  test(
    `protocol §10, 5: an unread download of 128 MiB beside an upload of 128 MiB harms nobody over ${name}`,
    async () => {
      await using child = startProgram("tests/calls/programs/machine.ts");
      await using channel = await dial(await child.line(), {
        insecure: true,
        maxBufferedBytes: BUDGET_BYTES,
        ...options,
      });
      const probe = createClient(ProbeService, channel);
      const data = new Uint8Array(64);
      let calls = 0;
      const idle = await timed(() => probe.echo({ data }), () => ++calls >= 50);

      // What transfers cost a process that takes part in them is no matter of stalled readers.
      for await (const _ of probe.download({ size: MESSAGE_BYTES, count: 320 }));
      await probe.upload(messages(320));
      const before = resident();
      let risen = Infinity;
      for (let round = 0; round < ROUNDS && risen >= MOST_RISEN_BYTES; round++) {
        let most = resident();
        const watching = setInterval(() => most = Math.max(most, resident()), 10);
        const download = probe.download({ size: MESSAGE_BYTES, count: MESSAGES })[Symbol.asyncIterator]();
        assert.equal((await download.next()).done, false);
        const upload = probe.upload(messages(MESSAGES));
        let isUploaded = false;
        const summary = upload.finally(() => isUploaded = true);
        const busy = await timed(() => probe.echo({ data }), () => isUploaded);
        assert.equal((await summary).bytes, BigInt(MESSAGES * MESSAGE_BYTES));
        clearInterval(watching);
        risen = most - before;
        console.log(
          `${name}: unary p50 ${percentile(idle, 0.5)}, p99 ${percentile(idle, 0.99)} ms idle; ` +
            `p50 ${percentile(busy, 0.5)}, p99 ${percentile(busy, 0.99)} ms beside (${busy.length} calls); ` +
            `memory rose by ${Math.round(risen / MIB)} MiB`,
        );

        let read = 1;
        if (isHeld) {
          // HTTP has held it back; it is all still to come.
          while (!(await download.next()).done) read++;
          assert.equal(read, MESSAGES);
        } else {
          // A data channel has no window a stream: this one was given up at its budget.
          const error = await rejection(async () => {
            while (!(await download.next()).done) read++;
          });
          assert.equal(error.code, Code.ResourceExhausted);
          assert.match(error.message, /maxBufferedBytes/);
        }
      }
      assert.ok(risen < MOST_RISEN_BYTES, `${Math.round(risen / MIB)} MiB`);
      assert.equal((await probe.echo({ data })).data.length, 64);
    },
    { timeoutMs: 120_000 },
  );
}

test(
  "a reader that stalls within its budget loses nothing over WebRTC, and the sender is held by nobody",
  async () => {
    await using child = startProgram("tests/calls/programs/machine.ts");
    await using channel = await dial(await child.line(), {
      insecure: true,
      maxBufferedBytes: BUDGET_BYTES,
    });
    const probe = createClient(ProbeService, channel);
    const count = 7 * 16; // 7 MiB
    const download = probe.download({ size: MESSAGE_BYTES, count })[Symbol.asyncIterator]();
    await download.next();
    // A call that starts behind it comes back when what is before it has come in.
    for (let index = 0; index < 200; index++) await probe.echo({ data: new Uint8Array(64) });
    let read = 1;
    while (!(await download.next()).done) read++;
    assert.equal(read, count);
  },
  { timeoutMs: 60_000 },
);

test("an abandoned download of 128 MiB stops at the server, too", async () => {
  await using child = startProgram("tests/calls/programs/machine.ts");
  await using channel = await dial(await child.line(), { insecure: true, maxBufferedBytes: BUDGET_BYTES });
  const probe = createClient(ProbeService, channel);
  const token = crypto.randomUUID();
  const download = probe.download({ size: MESSAGE_BYTES, count: MESSAGES }, {
    headers: { "x-witness": token },
  });
  const iterator = download[Symbol.asyncIterator]();
  await iterator.next();
  while (!(await probe.witness({ token })).cancelled) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal((await rejection(() => iterator.next())).code, Code.ResourceExhausted);
}, { timeoutMs: 60_000 });
