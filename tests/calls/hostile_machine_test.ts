import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { MAX_MESSAGE_BYTES } from "../../lib/core/limits.ts";
import { dial } from "../../mod.ts";
import type { Request } from "../../proto/gen/proto/rpc/webrtc/v1/grpc_pb.ts";
import { PayloadSchema, ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { type RawChannel, startRawMachine } from "../webrtc/raw_answerer.ts";
import { answer, bytesOf, responseFrame } from "../webrtc/raw_frames.ts";

const payload = toBinary(PayloadSchema, create(PayloadSchema, { data: Uint8Array.of(1, 2, 3) }));

type Write = (stream: number, send: (frame: Uint8Array) => Promise<void>) => Promise<void>;

/** Frames in the place of a proper answer, and the end of that call. */
const wrong: readonly [title: string, write: Write, code: Code][] = [
  ["headers twice", async (stream, send) => {
    await send(answer.headers(stream));
    await send(answer.headers(stream));
  }, Code.Internal],
  ["a message before its headers", async (stream, send) => {
    await send(answer.packet(stream, payload));
  }, Code.Internal],
  ["a message that cannot be parsed", async (stream, send) => {
    await send(answer.headers(stream));
    await send(answer.packet(stream, bytesOf("0aff")));
    await send(answer.trailers(stream));
  }, Code.Internal],
  ["a message frame without a packet", async (stream, send) => {
    await send(answer.headers(stream));
    await send(responseFrame(stream, { case: "message", value: {} }));
  }, Code.Internal],
  ["a frame of no known type", async (stream, send) => {
    await send(responseFrame(stream, { case: undefined }));
  }, Code.Internal],
  ["trailers in the middle of a message", async (stream, send) => {
    await send(answer.headers(stream));
    await send(answer.packet(stream, payload, false));
    await send(answer.trailers(stream));
  }, Code.Internal],
  ["success without a message", async (stream, send) => {
    await send(answer.headers(stream));
    await send(answer.trailers(stream));
  }, Code.Unimplemented],
  ["a nonexistent status", async (stream, send) => {
    await send(answer.trailers(stream, 99, "odd"));
  }, Code.Unknown],
  ["a negative status", async (stream, send) => {
    await send(answer.trailers(stream, -3, "odd"));
  }, Code.Unknown],
  ["a message over the limit, cut into packets", async (stream, send) => {
    await send(answer.headers(stream));
    const packet = new Uint8Array(65_509);
    let left = MAX_MESSAGE_BYTES + 1;
    for (; left > packet.length; left -= packet.length) await send(answer.packet(stream, packet, false));
    await send(answer.packet(stream, packet.subarray(0, left)));
  }, Code.ResourceExhausted],
];

/** Frames beside a proper answer, which harm no call. */
const noise: readonly [title: string, write: Write][] = [
  ["bytes that are no frame", async (_stream, send) => {
    await send(bytesOf("ffffffffffff"));
    await send(Uint8Array.from({ length: 60_000 }, (_, index) => index * 7));
  }],
  ["frames of streams that are not open", async (_stream, send) => {
    for (const unknown of [0, 77, 2 ** 31, 2 ** 50]) {
      await send(answer.headers(unknown));
      await send(answer.packet(unknown, payload));
      await send(answer.trailers(unknown, 13, "nobody's"));
    }
  }],
  ["a stream id past 2^53", async (_stream, send) => await send(bytesOf("0a0b08ffffffffffffffffff011200"))],
  ["a frame without a stream", async (_stream, send) => await send(bytesOf("1200"))],
  ["fields that nobody knows", async (_stream, send) => await send(bytesOf("9a0603616263"))],
];

/** Answers Echo; what `act` writes comes first. */
async function withMachine(
  act: Write,
  run: (probe: ReturnType<typeof createClient<typeof ProbeService>>, resets: () => number) => Promise<void>,
): Promise<void> {
  let acted = false;
  const onFrame = (frame: Request, channel: RawChannel): void => {
    if (frame.type.case !== "message") return;
    const stream = Number(frame.stream!.id);
    const send = (bytes: Uint8Array) => channel.send(bytes);
    if (!acted) {
      acted = true;
      void act(stream, send);
    } else {
      void channel.send(answer.headers(stream));
      void channel.send(answer.packet(stream, payload));
      void channel.send(answer.trailers(stream));
    }
  };
  await using machine = await startRawMachine(onFrame);
  await using channel = await dial(machine.address, {
    insecure: true,
    maxReconnectAttempts: 0,
    webrtc: { separateBulk: false }, // whose questions are reset, too
  });
  const lost: unknown[] = [];
  channel.addEventListener("disconnected", (event) => lost.push(event));
  await run(
    createClient(ProbeService, channel),
    () =>
      machine.channels.flatMap(({ received }) => received).filter(({ type }) => type.case === "rstStream")
        .length,
  );
  assert.deepEqual(lost, []);
}

for (const [title, write, code] of wrong) {
  test(`a machine that sends ${title} loses that call and no other`, async () => {
    const broken = /trailers|success|status|parsed/.test(title);
    await withMachine(write, async (probe, resets) => {
      const error = await probe.echo({}).then(() => undefined, (error: unknown) => error);
      assert.ok(error instanceof ConnectError, `no ConnectError: ${error}`);
      assert.equal(Code[error.code], Code[code], error.message);
      for (let round = 0; round < 3; round++) {
        assert.deepEqual((await probe.echo({})).data, Uint8Array.of(1, 2, 3));
      }
      // One that the machine has ended itself needs no reset.
      assert.equal(resets(), broken ? 0 : 1);
    });
  });
}

for (const [title, write] of noise) {
  test(`a machine that sends ${title} does no harm`, async () => {
    const noisy: Write = async (stream, send) => {
      await write(stream, send);
      await send(answer.headers(stream));
      await write(stream, send);
      await send(answer.packet(stream, payload));
      await send(answer.trailers(stream));
      await write(stream, send);
    };
    await withMachine(noisy, async (probe, resets) => {
      for (let round = 0; round < 3; round++) {
        assert.deepEqual((await probe.echo({})).data, Uint8Array.of(1, 2, 3));
      }
      assert.equal(resets(), 0);
    });
  });
}
