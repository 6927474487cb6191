/**
 * Feeds random and mutated frames, as a broken or hostile peer may send them, to both sides of the data channel. A run
 * prints its seed; `FUZZ_SEED=n` repeats it.
 */

import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { ClientStreams } from "../../lib/core/channel/client_streams.ts";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import {
  encodeHalfClose,
  encodeRequestHeaders,
  encodeRequestPacket,
  encodeReset,
  encodeResponseHeaders,
  encodeResponsePacket,
  encodeTrailers,
} from "../../lib/core/channel/packet.ts";
import { ServerStreams } from "../../lib/core/channel/server_streams.ts";
import { test } from "../harness.ts";
import { fuzzSeed, mutate, randomFrom } from "../random.ts";

const seed = fuzzSeed();
const FRAMES = 60_000;
const MAX_MESSAGE_BYTES = 2_000;
const none = new Metadata();

function pick<T>(choices: readonly T[], random: () => number): T {
  return choices[Math.floor(random() * choices.length)]!;
}

function noise(random: () => number): Uint8Array {
  return Uint8Array.from({ length: Math.floor(random() * 60) }, () => random() * 256);
}

/** A frame for one of these streams; a third of them are valid. */
function frame(
  streams: readonly number[],
  kinds: readonly ((stream: number) => Uint8Array)[],
  random: () => number,
): Uint8Array {
  const kind = random();
  if (kind < 0.1) return noise(random);
  const sound = pick(kinds, random)(pick(streams, random));
  return kind < 0.4 ? sound : mutate(sound, random);
}

function inMessages(run: () => void, round: number): void {
  try {
    run();
  } catch (error) {
    throw new Error(`FUZZ_SEED=${seed}, frame ${round}`, { cause: error });
  }
}

test(`ClientStreams takes ${FRAMES} random and mutated frames (FUZZ_SEED=${seed})`, () => {
  const random = randomFrom(seed);
  const streams = new ClientStreams({ maxMessageBytes: MAX_MESSAGE_BYTES });
  const metadata = new Metadata([["a", "b"], ["x-bin", "AAEC"]]);
  const kinds = [
    (id: number) => encodeResponseHeaders(id, metadata),
    (id: number) => encodeResponsePacket(id, noise(random), random() < 0.7),
    (id: number) => encodeResponsePacket(id, new Uint8Array(1_500), random() < 0.5),
    (id: number) => encodeTrailers(id, undefined, metadata),
    (id: number) => encodeTrailers(id, new ConnectError("no", Code.NotFound, metadata), none),
  ];
  const open = new Map<number, { headers: number; size: number }>();
  let ended = 0;
  let delivered = 0;
  const openOne = () => {
    const id: number = streams.open({ path: "/a.B/C", metadata: none, timeoutMs: undefined }, {
      headers: () => assert.equal(++open.get(id)!.headers, 1),
      message: (bytes) => {
        delivered++;
        assert.equal(open.get(id)!.headers, 1, "a message before headers");
        assert.ok(bytes.length <= MAX_MESSAGE_BYTES);
      },
      end: ({ error, trailers }) => {
        ended++;
        assert.ok(error === undefined || error instanceof ConnectError);
        assert.ok(trailers instanceof Headers);
        assert.ok(open.delete(id), "ended twice");
      },
    });
    open.set(id, { headers: 0, size: 0 });
  };
  for (let round = 0; round < FRAMES; round++) {
    inMessages(() => {
      while (open.size < 8) openOne();
      streams.receive(frame([...open.keys(), 0, 2 ** 40], kinds, random));
      assert.equal(streams.size, open.size);
      // Outgoing frames are written at once, except in some random intervals.
      if (round % 64 < 32) { while (streams.queue.next() !== undefined); }
    }, round);
  }
  const { malformed, unknownStream } = streams.dropped;
  assert.ok(ended > 1_000 && delivered > 1_000 && malformed > 1_000 && unknownStream > 1_000);
  streams.fail(new ConnectError("over", Code.Unavailable));
  assert.deepEqual([streams.size, open.size, streams.queue.empty], [0, 0, true]);
}, { pure: true, timeoutMs: 120_000 });

test(`ServerStreams takes ${FRAMES} random and mutated frames (FUZZ_SEED=${seed})`, () => {
  const random = randomFrom(seed);
  const metadata = new Metadata([["a", "b"], ["x-bin", "AAEC"]]);
  const open = new Map<number, { halfClosed: boolean }>();
  let delivered = 0;
  let aborted = 0;
  const streams = new ServerStreams({
    maxMessageBytes: MAX_MESSAGE_BYTES,
    open: ({ stream, timeoutMs }) => {
      assert.ok(timeoutMs === undefined || Number.isFinite(timeoutMs), `timeout ${timeoutMs}`);
      assert.ok(!open.has(stream), "opened twice");
      const state = { halfClosed: false };
      open.set(stream, state);
      return {
        message: (bytes) => {
          delivered++;
          assert.ok(bytes.length <= MAX_MESSAGE_BYTES);
          assert.equal(state.halfClosed, false, "a message after half-close");
          assert.equal(open.get(stream), state, "a message after the end");
        },
        halfClosed: () => {
          assert.equal(state.halfClosed, false, "half-closed twice");
          state.halfClosed = true;
        },
        aborted: (reason) => {
          aborted++;
          assert.ok(reason instanceof ConnectError);
          assert.ok(open.delete(stream), "aborted twice, or after its end");
        },
      };
    },
  });
  const kinds = [
    (id: number) => encodeRequestHeaders(id, "/a.B/C", metadata, random() < 0.5 ? undefined : 1_000),
    (id: number) => encodeRequestPacket(id, noise(random), random() < 0.7, random() < 0.2),
    (id: number) => encodeRequestPacket(id, new Uint8Array(1_500), random() < 0.5, false),
    (id: number) => encodeHalfClose(id),
    (id: number) => encodeReset(id),
  ];
  for (let round = 0; round < FRAMES; round++) {
    inMessages(() => {
      streams.receive(frame([0, 1, 2, 3, 4, 300, 2 ** 40], kinds, random));
      // A mutated id opens a stream of its own, whose handler answers.
      while (open.size > 16) {
        const [id] = open.keys();
        open.delete(id!);
        streams.sendMessage(id!, new Uint8Array(10));
        streams.sendTrailers(id!, undefined, none);
      }
      assert.equal(streams.size, open.size);
      if (round % 64 < 32) { while (streams.queue.next() !== undefined); }
    }, round);
  }
  assert.ok(delivered > 1_000 && aborted > 1_000);
  streams.fail(new ConnectError("over", Code.Unavailable));
  assert.deepEqual([streams.size, open.size, streams.queue.empty], [0, 0, true]);
}, { pure: true, timeoutMs: 120_000 });
