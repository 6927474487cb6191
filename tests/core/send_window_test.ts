import assert from "node:assert/strict";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { ClientStreams } from "../../lib/core/channel/client_streams.ts";
import { decodeRequest } from "../../lib/core/channel/packet.ts";
import { MAX_WINDOW_BYTES, MIN_WINDOW_BYTES, SendWindow } from "../../lib/core/channel/send_window.ts";
import { test } from "../harness.ts";

const ENGINE_BYTES = 262_144;
const FRAME_BYTES = 65_531;

/** A link with a bandwidth in bytes a millisecond, and a sender that always has more. */
function saturate(bytesPerMs: number, seconds: number): { limit: number; most: number; sent: number } {
  const window = new SendWindow(ENGINE_BYTES);
  let buffered = 0;
  let most = 0;
  let sent = 0;
  for (let now = 0; now < seconds * 1_000; now++) {
    const drained = Math.min(buffered, bytesPerMs);
    buffered -= drained;
    sent += drained;
    for (;;) {
      if (buffered > 0) {
        window.observe(now, buffered);
        if (buffered > window.limit) break;
      }
      window.wrote(FRAME_BYTES);
      buffered += FRAME_BYTES;
      most = Math.max(most, buffered);
    }
  }
  return { limit: window.limit, most, sent };
}

const links: readonly [title: string, bytesPerMs: number, limit: readonly [least: number, most: number]][] = [
  ["1 Mbit/s", 125, [MIN_WINDOW_BYTES, MIN_WINDOW_BYTES]],
  ["10 Mbit/s", 1_250, [MIN_WINDOW_BYTES, MIN_WINDOW_BYTES]],
  // 100 ms of 40 Mbit/s are 500,000 bytes, half of them in the engine.
  ["40 Mbit/s", 5_000, [200_000, 280_000]],
  ["400 Mbit/s", 50_000, [MAX_WINDOW_BYTES, MAX_WINDOW_BYTES]],
];

for (const [title, bytesPerMs, [least, most]] of links) {
  test(`SendWindow follows a link of ${title}, and keeps it busy`, () => {
    const link = saturate(bytesPerMs, 5);
    assert.ok(link.limit >= least && link.limit <= most, `${link.limit} bytes`);
    assert.ok(link.most <= MAX_WINDOW_BYTES + FRAME_BYTES, `${link.most} bytes were waiting`);
    assert.ok(link.sent >= bytesPerMs * 5_000 * 0.95, `${link.sent} bytes left`);
  }, { pure: true });
}

test("SendWindow lets 1 MiB wait before it has measured the link, as goutils does", () => {
  assert.equal(new SendWindow(ENGINE_BYTES).limit, 1_048_576);
}, { pure: true });

test("SendWindow recovers when a slow link becomes a fast one", () => {
  const window = new SendWindow(ENGINE_BYTES);
  let buffered = 0;
  for (let now = 0; now < 20_000; now++) {
    buffered -= Math.min(buffered, now < 10_000 ? 125 : 50_000);
    for (;;) {
      if (buffered > 0) {
        window.observe(now, buffered);
        if (buffered > window.limit) break;
      }
      window.wrote(FRAME_BYTES);
      buffered += FRAME_BYTES;
    }
    if (now === 9_999) assert.equal(window.limit, MIN_WINDOW_BYTES);
  }
  assert.equal(window.limit, MAX_WINDOW_BYTES);
}, { pure: true });

test("a small call beside a bulk upload waits behind one packet of it, whatever is queued", () => {
  const streams = new ClientStreams({ maxMessageBytes: 1_000 });
  const nobody = { headers() {}, message() {}, end() {} };
  const request = { path: "/a.B/C", metadata: new Metadata(), timeoutMs: undefined };
  const bulk = streams.open(request, nobody);
  streams.send(bulk, new Uint8Array(33_554_432), false);
  for (let index = 0; index < 10; index++) streams.next();
  const small = streams.open(request, nobody);
  streams.send(small, new Uint8Array(64), true);
  const next = Array.from({ length: 4 }, () => decodeRequest(streams.next()!));
  const ahead = next.findIndex((frame) => frame.kind === "message" && frame.stream === small);
  assert.ok(ahead >= 0 && ahead <= 2, JSON.stringify(next.map(({ kind, stream }) => `${kind} ${stream}`)));
}, { pure: true });

test("streams take turns packet by packet, whatever their number and their messages", () => {
  const streams = new ClientStreams({ maxMessageBytes: 1_000, packetBytes: 10 });
  const nobody = { headers() {}, message() {}, end() {} };
  const request = { path: "/a.B/C", metadata: new Metadata(), timeoutMs: undefined };
  const ids = Array.from({ length: 100 }, () => streams.open(request, nobody));
  while (streams.next() !== undefined);
  for (const id of ids) streams.send(id, new Uint8Array(50), true);
  for (let round = 0; round < 5; round++) {
    const order = ids.map(() => decodeRequest(streams.next()!).stream);
    assert.deepEqual(order, ids);
  }
  assert.equal(streams.next(), undefined);
}, { pure: true });
