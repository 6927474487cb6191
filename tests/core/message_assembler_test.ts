import assert from "node:assert/strict";
import { MAX_MESSAGE_BYTES } from "../../lib/core/limits.ts";
import { MessageAssembler } from "../../lib/core/channel/message_assembler.ts";
import { test } from "../harness.ts";
import { randomFrom } from "../random.ts";

function cut(message: Uint8Array, sizes: () => number): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let at = 0; at < message.length;) {
    const end = Math.min(message.length, at + sizes());
    packets.push(message.subarray(at, end));
    at = end;
  }
  return packets.length === 0 ? [message] : packets;
}

function assemble(assembler: MessageAssembler, packets: readonly Uint8Array[]): Uint8Array {
  for (const packet of packets.slice(0, -1)) assert.equal(assembler.push(packet, false), "incomplete");
  const message = assembler.push(packets.at(-1)!, true);
  assert.ok(typeof message !== "string");
  assert.equal(assembler.size, 0);
  return message;
}

test("MessageAssembler reassembles any message, however it was cut", () => {
  const random = randomFrom(7);
  const assembler = new MessageAssembler(MAX_MESSAGE_BYTES);
  for (const size of [0, 1, 2, 4_095, 4_096, 4_097, 16_374, 65_509, 65_510, 200_001]) {
    const message = Uint8Array.from({ length: size }, () => random() * 256);
    for (const most of [1, 3, 4_095, 4_096, 16_373, 65_509, 300_000]) {
      if (most < 5 && size > 70_000) continue;
      const cuts = [
        cut(message, () => most),
        cut(message, () => 1 + Math.floor(random() * most)),
        // An empty last packet ends the message before it.
        [...cut(message, () => most), new Uint8Array(0)],
      ];
      for (const packets of cuts) {
        const whole = assemble(assembler, packets);
        assert.equal(whole.length, size);
        assert.ok(whole.every((byte, index) => byte === message[index]), `${size} by ${most}`);
      }
    }
  }
}, { pure: true });

test("MessageAssembler accepts the largest message and refuses one byte more, at any packet size", () => {
  for (const most of [16_373, 65_509, MAX_MESSAGE_BYTES]) {
    const assembler = new MessageAssembler(MAX_MESSAGE_BYTES);
    const message = new Uint8Array(MAX_MESSAGE_BYTES);
    message[MAX_MESSAGE_BYTES - 1] = 9;
    const whole = assemble(assembler, cut(message, () => most));
    assert.equal(whole.length, MAX_MESSAGE_BYTES);
    assert.equal(whole[MAX_MESSAGE_BYTES - 1], 9);
    for (const packet of cut(message, () => most)) assert.equal(assembler.push(packet, false), "incomplete");
    assert.equal(assembler.push(Uint8Array.of(1), false), "too-large");
    assert.equal(assembler.size, 0);
  }
}, { pure: true });

test("MessageAssembler holds about as many bytes as the message has, even in packets of one byte", () => {
  const assembler = new MessageAssembler(MAX_MESSAGE_BYTES);
  const one = Uint8Array.of(5);
  const count = 4_000_000;
  for (let index = 1; index < count; index++) assembler.push(one, false);
  // Views of one byte each would take half a gigabyte, and seconds to make and collect.
  const message = assembler.push(one, true);
  assert.ok(typeof message !== "string");
  assert.equal(message.length, count);
  assert.ok(message.every((byte) => byte === 5));
}, { pure: true });
