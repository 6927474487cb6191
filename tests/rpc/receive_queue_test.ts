import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import type { Call, CallEnd } from "../../lib/rpc/carrier.ts";
import { ReceiveQueue } from "../../lib/rpc/receive_queue.ts";
import { test } from "../harness.ts";

const OK: CallEnd = { error: undefined, trailers: new Metadata() };

function queue(maxBufferedBytes = 1_000_000) {
  const log: string[] = [];
  const call: Call = {
    send: () => undefined,
    halfClose() {},
    reset: () => log.push("reset"),
    pause: () => log.push("pause"),
    resume: () => log.push("resume"),
  };
  const received = new ReceiveQueue<number>(
    (bytes) => {
      if (bytes[0] === 255) throw new ConnectError("cannot parse", Code.Internal);
      return bytes.length;
    },
    maxBufferedBytes,
    {
      ended: ({ error }) => log.push(`ended ${error?.code ?? "ok"}`),
      refused: (error) => log.push(`refused ${Code[error.code]}`),
    },
  );
  received.attach(call);
  return { received, log };
}

test("ReceiveQueue delivers what was queued before the end, then the end", async () => {
  const { received } = queue();
  received.push(new Uint8Array(1));
  received.push(new Uint8Array(2));
  received.end({ error: new ConnectError("late", Code.Aborted), trailers: new Metadata() });
  assert.deepEqual(await received.next(), { done: false, value: 1 });
  assert.deepEqual(await received.next(), { done: false, value: 2 });
  await assert.rejects(received.next(), /late/);
  await assert.rejects(received.next(), /late/);
}, { pure: true });

test("ReceiveQueue serves concurrent reads in order", async () => {
  const { received } = queue();
  const reads = [received.next(), received.next(), received.next()];
  received.push(new Uint8Array(1));
  received.push(new Uint8Array(2));
  received.end(OK);
  assert.deepEqual(await Promise.all(reads), [
    { done: false, value: 1 },
    { done: false, value: 2 },
    { done: true, value: undefined },
  ]);
}, { pure: true });

test("ReceiveQueue asks the carrier to pause when its reader is behind, and to resume", async () => {
  const { received, log } = queue();
  for (let index = 0; index < 20; index++) received.push(new Uint8Array(1));
  assert.deepEqual(log, ["pause"]);
  for (let index = 0; index < 20; index++) await received.next();
  assert.deepEqual(log, ["pause", "resume"]);
}, { pure: true });

test("ReceiveQueue asks for a pause long before its budget is used, even for few messages", async () => {
  const { received, log } = queue(100_000);
  for (let index = 0; index < 3; index++) received.push(new Uint8Array(10_000));
  assert.deepEqual(log, ["pause"]);
  await received.next();
  assert.deepEqual(log, ["pause", "resume"]);
}, { pure: true });

test("ReceiveQueue fails once when its budget is exceeded, and loses nothing before that", async () => {
  const { received, log } = queue(10_000);
  for (let index = 0; index < 9; index++) received.push(new Uint8Array(800));
  for (let index = 0; index < 9; index++) assert.equal((await received.next()).value, 800);
  for (let index = 0; index < 30; index++) received.push(new Uint8Array(800));
  assert.deepEqual(log.filter((line) => line.startsWith("refused")), ["refused ResourceExhausted"]);
  await assert.rejects(received.next(), /maxBufferedBytes/);
}, { pure: true });

test("ReceiveQueue counts empty messages", () => {
  const { received, log } = queue(1_000_000);
  let count = 0;
  while (!log.includes("refused ResourceExhausted")) {
    received.push(new Uint8Array(0));
    assert.ok(++count < 10_000, "empty messages pile up without end");
  }
  assert.ok(count > 1_000);
}, { pure: true });

test("ReceiveQueue refuses a message that cannot be parsed, after those before it", async () => {
  const { received, log } = queue();
  received.push(new Uint8Array(3));
  received.push(Uint8Array.of(255));
  received.push(new Uint8Array(4));
  assert.equal((await received.next()).value, 3);
  await assert.rejects(received.next(), /cannot parse/);
  await assert.rejects(received.next(), /cannot parse/);
  assert.deepEqual(log, ["refused Internal"]);
}, { pure: true });

test("ReceiveQueue keeps a million messages in order when its reader is always one behind", async () => {
  const { received } = queue();
  received.push(new Uint8Array(0));
  for (let index = 1; index <= 1_000_000; index++) {
    received.push(new Uint8Array(index % 7));
    const { value } = await received.next();
    if (value !== (index - 1) % 7) assert.fail(`message ${index - 1} has ${value} bytes`);
  }
}, { pure: true });
