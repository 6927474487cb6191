import assert from "node:assert/strict";
import { ClientStreams } from "../../lib/core/channel/client_streams.ts";
import { decodeRequest } from "../../lib/core/channel/packet.ts";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { test } from "../harness.ts";

test("a small call beside a bulk upload waits behind one packet of it, whatever is queued", () => {
  const streams = new ClientStreams({ maxMessageBytes: 1_000 });
  const nobody = { headers() {}, message() {}, end() {} };
  const request = { path: "/a.B/C", metadata: new Metadata(), timeoutMs: undefined };
  const bulk = streams.open(request, nobody);
  streams.send(bulk, new Uint8Array(33_554_432), false);
  for (let index = 0; index < 10; index++) streams.queue.next();
  const small = streams.open(request, nobody);
  streams.send(small, new Uint8Array(64), true);
  const next = Array.from({ length: 4 }, () => decodeRequest(streams.queue.next()!));
  const ahead = next.findIndex((frame) => frame.kind === "message" && frame.stream === small);
  assert.ok(ahead >= 0 && ahead <= 2, JSON.stringify(next.map(({ kind, stream }) => `${kind} ${stream}`)));
}, { pure: true });

test("streams take turns packet by packet, whatever their number and their messages", () => {
  const streams = new ClientStreams({ maxMessageBytes: 1_000, packetBytes: 10 });
  const nobody = { headers() {}, message() {}, end() {} };
  const request = { path: "/a.B/C", metadata: new Metadata(), timeoutMs: undefined };
  const ids = Array.from({ length: 100 }, () => streams.open(request, nobody));
  while (streams.queue.next() !== undefined);
  for (const id of ids) streams.send(id, new Uint8Array(50), true);
  for (let round = 0; round < 5; round++) {
    const order = ids.map(() => decodeRequest(streams.queue.next()!).stream);
    assert.deepEqual(order, ids);
  }
  assert.equal(streams.queue.next(), undefined);
}, { pure: true });

test(
  "ClientStreams: with room for nothing, headers, resets and small calls are written, and messages are not",
  () => {
    const streams = new ClientStreams({ maxMessageBytes: 1_000 });
    const nobody = { headers() {}, message() {}, end() {} };
    const request = { path: "/a.B/C", metadata: new Metadata(), timeoutMs: undefined };
    const kinds = () => {
      const frames: string[] = [];
      for (
        let frame = streams.queue.next(undefined, 0);
        frame !== undefined;
        frame = streams.queue.next(undefined, 0)
      ) {
        const { kind, stream } = decodeRequest(frame);
        frames.push(`${kind} ${stream}`);
      }
      return frames;
    };
    const bulk = streams.open(request, nobody);
    streams.send(bulk, new Uint8Array(100_000), false);
    const small = streams.open(request, nobody);
    streams.send(small, new Uint8Array(1_024), true);
    const many = streams.open(request, nobody);
    for (let count = 0; count < 3; count++) streams.send(many, new Uint8Array(100), count === 2);
    const large = streams.open(request, nobody);
    streams.send(large, new Uint8Array(1_025), true);
    assert.deepEqual(kinds(), [
      `headers ${bulk}`,
      `headers ${small}`,
      `message ${small}`,
      `headers ${many}`,
      `headers ${large}`,
    ]);
    streams.reset(bulk);
    assert.deepEqual(kinds(), [`reset ${bulk}`]);
    assert.ok(!streams.queue.empty);
  },
  { pure: true },
);

test("ClientStreams: a frame is as large as the writer has room for, and messages arrive whole", () => {
  const streams = new ClientStreams({ maxMessageBytes: 1_000 });
  const request = { path: "/a.B/C", metadata: new Metadata(), timeoutMs: undefined };
  const id = streams.open(request, { headers() {}, message() {}, end() {} });
  streams.send(id, new Uint8Array(5_000), true);
  streams.queue.next();
  const sizes: number[] = [];
  for (const room of [1_000, 65_509]) {
    const frame = decodeRequest(streams.queue.next(undefined, room)!);
    assert.equal(frame.kind, "message");
    if (frame.kind === "message") sizes.push(frame.data!.length);
  }
  assert.deepEqual(sizes, [1_000, 4_000]);
  assert.ok(streams.queue.empty);
}, { pure: true });
