import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  readTurnMessage,
  refuseAllocate,
  toStream,
  TurnFramingError,
  TurnStreamReader,
} from "../../lib/core/ice/turn_framing.ts";
import { test } from "../harness.ts";

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function hex(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.length).toString("hex");
}

/** The messages on a stream, one after the other. */
function joined(messages: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(messages.map((message) => toStream(message)!)));
}

const COOKIE = "2112a442";
const TRANSACTION = "0102030405060708090a0b0c";

/**
 * Messages laid out by RFC 8489 §5, §14.2 and RFC 8656 §12.4; the XOR values of 192.0.2.1:32853 are those of RFC 5769
 * §2.2.
 */
const ALLOCATE = bytes(`0003 0008 ${COOKIE} ${TRANSACTION} 0019 0004 11000000`);
const ALLOCATED = bytes(`0103 000c ${COOKIE} ${TRANSACTION} 0016 0008 0001 a147 e112a643`);
const ALLOCATED_V6 = bytes(`0103 0018 ${COOKIE} ${TRANSACTION} 0016 0014 0002 a147 ${"00".repeat(16)}`);
const UNAUTHORIZED = bytes(`0113 0008 ${COOKIE} ${TRANSACTION} 0009 0004 00000401`);
const ALTERNATE = bytes(`0113 0014 ${COOKIE} ${TRANSACTION} 0009 0004 00000300 8023 0008 0001 a147 e112a643`);
const BINDING = bytes(`0001 0000 ${COOKIE} ${TRANSACTION}`);
const CHANNEL_5 = bytes("4001 0005 6869206869");
const CHANNEL_0 = bytes("4001 0000");

const messages: readonly [title: string, message: Uint8Array, expected: object | undefined][] = [
  ["Allocate request", ALLOCATE, { kind: "allocate" }],
  ["Allocate success", ALLOCATED, { kind: "allocated", relayAddress: "192.0.2.1:32853" }],
  ["Allocate success with an IPv6 address", ALLOCATED_V6, { kind: "allocated", relayAddress: undefined }],
  ["Allocate error 401", UNAUTHORIZED, { kind: "other" }],
  ["Allocate error 300", ALTERNATE, { kind: "tryAlternate" }],
  ["Binding request", BINDING, { kind: "other" }],
  ["ChannelData", CHANNEL_5, { kind: "data" }],
  ["empty ChannelData", CHANNEL_0, { kind: "data" }],
  ["nothing", new Uint8Array(0), undefined],
  ["DTLS", bytes("16fefd0000000000"), undefined],
  ["RTP", bytes("80000000"), undefined],
  ["STUN cut short", BINDING.subarray(0, 19), undefined],
  ["ChannelData cut short", CHANNEL_5.subarray(0, 8), undefined],
  [
    "STUN with a length that is not a multiple of four",
    bytes(`0001 0002 ${COOKIE} ${TRANSACTION} 0000`),
    undefined,
  ],
];

for (const [title, message, expected] of messages) {
  test(`readTurnMessage() ${title}`, () => {
    assert.deepEqual(readTurnMessage(message), expected);
  }, { pure: true });
}

const framed: readonly [title: string, datagram: Uint8Array, expected: string | undefined][] = [
  ["STUN as it is", BINDING, hex(BINDING)],
  ["ChannelData padded with zeros", CHANNEL_5, "4001000568692068690000" + "00"],
  ["ChannelData of a multiple of four", bytes("4001 0004 01020304"), "4001000401020304"],
  [
    "ChannelData that is padded already",
    bytes("4001 0005 0102030405 ffffff"),
    "40010005" + "0102030405ffffff",
  ],
  ["more after the message", bytes(`0001 0000 ${COOKIE} ${TRANSACTION} ffff`), hex(BINDING)],
  ["bytes that are not TURN", bytes("16fefd0000"), undefined],
  ["nothing", new Uint8Array(0), undefined],
  ["cut short", CHANNEL_5.subarray(0, 8), undefined],
];

for (const [title, datagram, expected] of framed) {
  test(`toStream() ${title}`, () => {
    const onStream = toStream(datagram);
    assert.equal(onStream === undefined ? undefined : hex(onStream), expected);
  }, { pure: true });
}

test("TurnStreamReader.push() returns the same messages for a stream cut at any offset", () => {
  const all = [ALLOCATE, CHANNEL_5, BINDING, CHANNEL_0, ALLOCATED, CHANNEL_5];
  const stream = joined(all);
  for (let first = 0; first <= stream.length; first++) {
    for (let second = first; second <= stream.length; second += 7) {
      const reader = new TurnStreamReader();
      const got = [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)]
        .flatMap((chunk) => reader.push(chunk));
      assert.deepEqual(got.map(hex), all.map(hex), `${first}, ${second}`);
      assert.equal(reader.buffered, 0);
    }
  }
}, { pure: true });

test("TurnStreamReader.push() refuses bytes that are not TURN", () => {
  for (
    const wrong of [
      "80000000",
      "c0",
      "16fefd0000000000",
      "5000",
      "ff",
      `0001 0003 ${COOKIE}`,
      "0001 0000 2112a443",
    ]
  ) {
    assert.throws(() => new TurnStreamReader().push(bytes(wrong)), TurnFramingError, wrong);
  }
}, { pure: true });

/** Random bytes that are the same in every run (mulberry32). */
function seeded(seed: number): () => number {
  return () => {
    seed = seed + 0x6d2b79f5 | 0;
    let value = Math.imul(seed ^ seed >>> 15, 1 | seed);
    value = value + Math.imul(value ^ value >>> 7, 61 | value) ^ value;
    return ((value ^ value >>> 14) >>> 0) / 4_294_967_296;
  };
}

test("TurnStreamReader.push() returns every message, however the stream is cut", () => {
  const random = seeded(1);
  for (let round = 0; round < 300; round++) {
    const sent = Array.from({ length: 1 + Math.floor(random() * 30) }, () => {
      const channel = random() < 0.7;
      const length = Math.floor(random() ** 3 * (channel ? 2_000 : 500));
      const size = channel ? length : length & ~3;
      const message = new Uint8Array((channel ? 4 : 20) + size).map(() => Math.floor(random() * 256));
      message[0] = channel ? 0x40 | message[0]! & 0x0f : message[0]! & 0x3f;
      if (!channel) message.set(bytes(COOKIE), 4);
      message[2] = size >> 8;
      message[3] = size & 255;
      return message;
    });
    const stream = joined(sent);
    const reader = new TurnStreamReader();
    const got: string[] = [];
    for (let at = 0; at < stream.length;) {
      const length = 1 + Math.floor(random() ** 2 * 3_000);
      got.push(...reader.push(stream.subarray(at, at + length)).map(hex));
      at += length;
    }
    assert.deepEqual(got, sent.map(hex), `round ${round}`);
    assert.equal(reader.buffered, 0);
  }
}, { pure: true });

test(
  "TURN framing survives any bytes: it throws only its own error, and buffers one message at most",
  () => {
    const random = seeded(2);
    for (let round = 0; round < 3_000; round++) {
      const noise = new Uint8Array(Math.floor(random() * 400)).map(() => Math.floor(random() * 256));
      if (round % 3 === 0 && noise.length > 0) noise[0] = 0x40 | noise[0]! & 0x0f;
      if (round % 3 === 1 && noise.length >= 20) noise.set(bytes("0113 0008 2112a442"));
      readTurnMessage(noise);
      toStream(noise);
      refuseAllocate(noise);
      const reader = new TurnStreamReader();
      try {
        for (let at = 0; at < noise.length; at += 50) reader.push(noise.subarray(at, at + 50));
        assert.ok(reader.buffered < 65_536 + 20);
      } catch (error) {
        assert.ok(error instanceof TurnFramingError);
      }
    }
  },
  { pure: true },
);

test("refuseAllocate() answers an Allocate request with error 500 in the same transaction", () => {
  const answer = refuseAllocate(ALLOCATE)!;
  assert.equal(
    hex(answer),
    `01130018${COOKIE}${TRANSACTION}000900140000` + "0500" +
      hex(new TextEncoder().encode("no way to server")),
  );
  assert.deepEqual(readTurnMessage(answer), { kind: "other" });
  assert.deepEqual(refuseAllocate(ALTERNATE), answer); // stands in for it
  for (const other of [BINDING, CHANNEL_5, ALLOCATED, new Uint8Array(3)]) {
    assert.equal(refuseAllocate(other), undefined);
  }
}, { pure: true });
