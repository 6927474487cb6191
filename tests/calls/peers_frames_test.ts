/** Frames as the Go, Rust and TypeScript peers spell them (protocol §4.3, §4.4), over a real data channel. */

import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { startMachine } from "../../lib/testing/mod.ts";
import { dial } from "../../mod.ts";
import {
  DownloadRequestSchema,
  PayloadSchema,
  ProbeService,
  UploadSummarySchema,
} from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { rejection } from "../transport/suite.ts";
import { startRawMachine } from "../webrtc/raw_answerer.ts";
import { connectRaw, type RawCaller } from "../webrtc/raw_caller.ts";
import { answer, requestFrame, responseFrame } from "../webrtc/raw_frames.ts";

const data = Uint8Array.from({ length: 150_000 }, (_, index) => index * 31);
const message = toBinary(PayloadSchema, create(PayloadSchema, { data }));

interface Dialect {
  readonly name: string;
  readonly firstId: number;
  readonly packetBytes: number;
  /** The headers that go along. */
  readonly headers: {
    timeout?: { seconds: bigint };
    metadata?: { md: Record<string, { values: string[] }> };
  };
  /** The frame with which a unary call ends. */
  readonly unaryEnd: "on every packet" | "bare" | "never" | "after an empty packet";
  readonly halfClose: (id: number) => Uint8Array;
}

const emptyPacket = (id: number) =>
  requestFrame(id, {
    case: "message",
    value: { hasMessage: false, packetMessage: { eom: true }, eos: true },
  });
const bare = (id: number) => requestFrame(id, { case: "message", value: { eos: true } });

const dialects: readonly Dialect[] = [
  {
    name: "Go",
    firstId: 1,
    packetBytes: 65_509,
    headers: { timeout: { seconds: 0n } },
    unaryEnd: "on every packet",
    halfClose: emptyPacket,
  },
  {
    name: "Rust",
    firstId: 0,
    packetBytes: 16_373,
    headers: {
      metadata: {
        md: { te: { values: ["trailers"] }, "content-type": { values: ["application/grpc"] } },
      },
    },
    unaryEnd: "bare",
    halfClose: bare,
  },
  {
    name: "TypeScript",
    firstId: 0,
    packetBytes: 16_373,
    headers: {},
    unaryEnd: "never",
    halfClose: emptyPacket,
  },
  {
    name: "a peer with the largest frames and an empty last packet",
    firstId: 7,
    packetBytes: 65_513,
    headers: {},
    unaryEnd: "after an empty packet",
    halfClose: bare,
  },
];

function packets(
  id: number,
  bytes: Uint8Array,
  { packetBytes, unaryEnd }: Dialect,
  streaming: boolean,
): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const trailing = unaryEnd === "after an empty packet";
  for (let at = 0; at < bytes.length; at += packetBytes) {
    const eom = at + packetBytes >= bytes.length && !trailing;
    frames.push(requestFrame(id, {
      case: "message",
      value: {
        hasMessage: true,
        packetMessage: { data: bytes.subarray(at, at + packetBytes), eom },
        eos: !streaming && unaryEnd === "on every packet",
      },
    }));
  }
  if (trailing) {
    frames.push(requestFrame(id, {
      case: "message",
      value: { hasMessage: true, packetMessage: { eom: true }, eos: !streaming },
    }));
  }
  return frames;
}

async function answerOf(caller: RawCaller, id: number): Promise<{ messages: Uint8Array[]; code: number }> {
  assert.equal((await caller.next(id)).type.case, "headers");
  const messages: Uint8Array[] = [];
  let parts: Uint8Array[] = [];
  for (;;) {
    const { type } = await caller.next(id);
    if (type.case === "trailers") {
      assert.equal(type.value.status, undefined, "an OK status is absent");
      return { messages, code: 0 };
    }
    assert.ok(type.case === "message");
    parts.push(type.value.packetMessage!.data);
    if (!type.value.packetMessage!.eom) continue;
    assert.ok(parts.length === 1 || parts.at(-1)!.length > 0, "the machine sent a trailing empty packet");
    messages.push(new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer()));
    parts = [];
  }
}

for (const dialect of dialects) {
  test(`protocol §10, 1: the machine understands calls of every kind as ${dialect.name} spells them`, async () => {
    await using machine = await startMachine({ auth: "none" });
    await using caller = await connectRaw(machine.address);
    let id = dialect.firstId;
    const open = async (method: string) =>
      await caller.send(requestFrame(id, {
        case: "headers",
        value: { method: `/viam_dial.probe.v1.ProbeService/${method}`, ...dialect.headers },
      }));
    const send = async (frames: readonly Uint8Array[]) => {
      for (const frame of frames) await caller.send(frame);
    };

    await open("Echo");
    await send(packets(id, message, dialect, false));
    if (dialect.unaryEnd === "bare") await caller.send(bare(id));
    const echoed = await answerOf(caller, id);
    assert.deepEqual(fromBinary(PayloadSchema, echoed.messages[0]!).data, data);
    // Go resets a finished call, Rust half-closes it: nobody is there any more, and that is fine.
    await caller.send(requestFrame(id, { case: "rstStream", value: true }));
    await caller.send(bare(id));

    id++;
    await open("Download");
    const request = toBinary(
      DownloadRequestSchema,
      create(DownloadRequestSchema, { size: 70_000, count: 3 }),
    );
    await send(packets(id, request, dialect, true));
    await caller.send(dialect.halfClose(id));
    assert.equal((await answerOf(caller, id)).messages.length, 3);

    id++;
    await open("Upload");
    for (let index = 0; index < 3; index++) await send(packets(id, message, dialect, true));
    await caller.send(dialect.halfClose(id));
    const summary = fromBinary(UploadSummarySchema, (await answerOf(caller, id)).messages[0]!);
    assert.deepEqual([summary.count, summary.bytes], [3, 450_000n]);

    id++;
    await open("Exchange");
    for (let index = 0; index < 3; index++) await send(packets(id, message, dialect, true));
    await caller.send(dialect.halfClose(id));
    assert.equal((await answerOf(caller, id)).messages.length, 3);

    id++;
    await open("HangUnary");
    await send(
      packets(id, toBinary(PayloadSchema, create(PayloadSchema, { data: Uint8Array.of(1) })), dialect, false),
    );
    // `false` means it just the same (protocol §4.9).
    await caller.send(requestFrame(id, { case: "rstStream", value: false }));
    assert.equal((await caller.next(id)).type.case, "headers");
    const { type } = await caller.next(id);
    assert.ok(type.case === "trailers");
    assert.equal(type.value.status?.code, Code.Canceled);
  });
}

type Answer = (id: number) => Uint8Array[];
const echo = toBinary(PayloadSchema, create(PayloadSchema, { data: Uint8Array.of(1, 2) }));
const large = toBinary(PayloadSchema, create(PayloadSchema, { data: data.subarray(0, 65_509) }));

const answers: readonly [title: string, frames: Answer, expected: number | Code][] = [
  ["headers, a packet and trailers without a status", (id) => [
    answer.headers(id),
    answer.packet(id, echo),
    answer.trailers(id),
  ], 2],
  ["trailers with code 0", (id) => [answer.headers(id), answer.packet(id, echo), answer.trailers(id, 0)], 2],
  ["trailers alone", (id) => [answer.trailers(id, Code.NotFound, "gone")], Code.NotFound],
  ["headers and an error, as Go does", (id) => [
    answer.headers(id),
    answer.trailers(id, Code.NotFound, "gone"),
  ], Code.NotFound],
  ["a packet of 65,513 bytes, the most that Go sends", (id) => [
    answer.headers(id),
    answer.packet(id, large),
    answer.trailers(id),
  ], 65_509],
  ["an empty last packet", (id) => [
    answer.headers(id),
    answer.packet(id, echo.subarray(0, 2), false),
    answer.packet(id, echo.subarray(2), false),
    answer.packet(id, new Uint8Array(0)),
    answer.trailers(id),
  ], 2],
  ["an empty message", (id) => [
    answer.headers(id),
    answer.packet(id, new Uint8Array(0)),
    answer.trailers(id),
  ], 0],
  ["packets of one byte", (id) => [
    answer.headers(id),
    ...Array.from(
      echo,
      (_, index) => answer.packet(id, echo.subarray(index, index + 1), index === echo.length - 1),
    ),
    answer.trailers(id),
  ], 2],
  ["frames after its trailers", (id) => [
    answer.headers(id),
    answer.packet(id, echo),
    answer.trailers(id),
    answer.packet(id, echo),
    answer.trailers(id, Code.Internal, "late"),
    responseFrame(id, { case: "headers", value: {} }),
  ], 2],
];

for (const [title, frames, expected] of answers) {
  test(`protocol §10, 1: a call takes ${title} from a machine`, async () => {
    await using machine = await startRawMachine(({ stream, type }, channel) => {
      if (type.case !== "message" || !type.value.eos) return;
      for (const frame of frames(Number(stream!.id))) void channel.send(frame);
    });
    await using channel = await dial(machine.address, {
      insecure: true,
      webrtc: { separateBulk: false }, // whose questions are reset, too
    });
    const probe = createClient(ProbeService, channel);
    for (let round = 0; round < 2; round++) {
      if (title.includes("alone") || title.includes("error")) {
        const error = await rejection(() => probe.echo({ data: Uint8Array.of(1) }));
        assert.deepEqual([error.code, error.rawMessage], [expected, "gone"]);
      } else {
        assert.equal((await probe.echo({ data: Uint8Array.of(1) })).data.length, expected);
      }
    }
    const resets = machine.channels.flatMap(({ received }) => received).filter(({ type }) =>
      type.case === "rstStream"
    );
    assert.deepEqual(resets, []);
  });
}
