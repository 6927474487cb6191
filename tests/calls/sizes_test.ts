import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { MAX_MESSAGE_BYTES } from "../../lib/core/limits.ts";
import { startMachine } from "../../lib/testing/mod.ts";
import { dial } from "../../mod.ts";
import { PayloadSchema, ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { rejection } from "../transport/suite.ts";
import { connectRaw } from "../webrtc/raw_caller.ts";
import { requestFrame } from "../webrtc/raw_frames.ts";
import { lanes, until } from "./lanes.ts";

const ECHO = "/viam_dial.probe.v1.ProbeService/Echo";

/** A payload that is so many bytes long when serialized. */
function payloadOf(size: number): { data: Uint8Array } {
  const longer = create(PayloadSchema, { data: new Uint8Array(size) });
  const length = 2 * size - toBinary(PayloadSchema, longer).length;
  const data = new Uint8Array(length);
  for (let index = 0; index < length; index += 997) data[index] = index;
  return { data };
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index += 997) if (one[index] !== other[index]) return false;
  return true;
}

for (const { name, options } of lanes) {
  test(
    `protocol §10, 6: ${name}: messages of 0 bytes to 2^25 go both ways, and one byte more is refused both ways`,
    async () => {
      await using machine = await startMachine({ auth: "none" });
      await using channel = await dial(machine.address, options);
      const probe = createClient(ProbeService, channel);
      const lost: unknown[] = [];
      channel.addEventListener("disconnected", (event) => lost.push(event));
      for (const size of [0, 3, 16_373, 16_374, 65_509, 65_510, MAX_MESSAGE_BYTES]) {
        const payload = payloadOf(size);
        assert.equal(toBinary(PayloadSchema, create(PayloadSchema, payload)).length, size);
        const { data } = await probe.echo(payload);
        assert.ok(same(data, payload.data), `${size} bytes came back changed`);
      }
      const over = payloadOf(MAX_MESSAGE_BYTES + 1);
      const before = machine.callsTo(ECHO);
      const up = await rejection(() => probe.echo(over));
      assert.equal(up.code, Code.ResourceExhausted);
      assert.deepEqual(machine.callsTo(ECHO), before, "it did not even leave");
      const token = crypto.randomUUID();
      const down = await rejection(async () => {
        const answers = probe.download({ size: over.data.length, count: 2, intervalMs: 600_000 }, {
          headers: { "x-witness": token },
        });
        for await (const _ of answers);
      });
      assert.equal(down.code, Code.ResourceExhausted);
      await until(async () => {
        const { cancelled, finished } = await probe.witness({ token });
        return cancelled || finished;
      });
      assert.equal((await probe.echo({ data: Uint8Array.of(1) })).data.length, 1);
      assert.deepEqual(lost, []);
    },
    { timeoutMs: 90_000 },
  );
}

test(
  "the machine refuses 2^25 + 1 bytes over WebRTC, cut into packets, and serves the channel's other calls",
  async () => {
    await using machine = await startMachine({ auth: "none" });
    await using caller = await connectRaw(machine.address);
    const headers = { case: "headers" as const, value: { method: ECHO } };
    await caller.send(requestFrame(1, headers));
    const packet = new Uint8Array(65_509);
    for (let left = MAX_MESSAGE_BYTES + 1; left > 0; left -= packet.length) {
      const data = packet.subarray(0, Math.min(left, packet.length));
      const eom = left <= packet.length;
      await caller.send(requestFrame(1, {
        case: "message",
        value: { hasMessage: true, packetMessage: { data, eom }, eos: eom },
      }));
    }
    assert.equal((await caller.next(1)).type.case, "headers");
    const { type } = await caller.next(1);
    assert.ok(type.case === "trailers");
    assert.equal(type.value.status?.code, Code.ResourceExhausted);
    await caller.send(requestFrame(2, headers));
    await caller.send(requestFrame(2, {
      case: "message",
      value: { hasMessage: true, packetMessage: { eom: true }, eos: true },
    }));
    assert.deepEqual(
      [(await caller.next(2)).type.case, (await caller.next(2)).type.case, (await caller.next(2)).type.case],
      ["headers", "message", "trailers"],
    );
  },
  { timeoutMs: 60_000 },
);
