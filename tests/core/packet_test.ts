import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeHalfClose,
  encodeRequestHeaders,
  encodeRequestPacket,
  encodeReset,
  encodeResponseHeaders,
  encodeResponsePacket,
  encodeTrailers,
} from "../../lib/core/channel/packet.ts";
import {
  decodeSessionDescription,
  encodeSessionDescription,
  isByThisLibrary,
  withTool,
} from "../../lib/core/ice/session_description.ts";
import {
  type Request,
  RequestSchema,
  type Response,
  ResponseSchema,
} from "../../proto/gen/proto/rpc/webrtc/v1/grpc_pb.ts";
import { EchoRequestSchema, EchoResponseSchema } from "../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";
import { test } from "../harness.ts";
import { mutate, randomFrom } from "../random.ts";

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

// Protocol §9, row by row.
const requests: readonly [title: string, hex: string, expected: object][] = [
  ["headers, Go", "0a020801120a0a062f782e592f5a1a00", {
    kind: "headers",
    stream: 1,
    path: "/x.Y/Z",
    timeoutMs: undefined,
  }],
  [
    "headers with metadata and timeout",
    "0a02080112210a062f782e592f5a120d0a0b0a016b12060a01610a01621a0808011080cab5ee01",
    { kind: "headers", stream: 1, path: "/x.Y/Z", timeoutMs: 1500 },
  ],
  ["unary message, Go", "0a0208011a0e080112080a040a02686910011801", {
    kind: "message",
    stream: 1,
    data: "0a026869",
    endOfMessage: true,
    endOfStream: true,
  }],
  ["unary message, TypeScript", "0a001a0c080112080a040a0268691001", {
    kind: "message",
    stream: 0,
    data: "0a026869",
    endOfMessage: true,
    endOfStream: false,
  }],
  ["half-close, Go and TypeScript", "0a0208011a06120210011801", {
    kind: "message",
    stream: 1,
    data: undefined,
    endOfMessage: false,
    endOfStream: true,
  }],
  ["half-close, Rust", "0a001a021801", {
    kind: "message",
    stream: 0,
    data: undefined,
    endOfMessage: false,
    endOfStream: true,
  }],
  ["empty message", "0a0208011a06080112021001", {
    kind: "message",
    stream: 1,
    data: "",
    endOfMessage: true,
    endOfStream: false,
  }],
  ["reset", "0a0208012001", { kind: "reset", stream: 1 }],
];

const responses: readonly [title: string, hex: string, expected: object][] = [
  ["headers", "0a0208011200", { kind: "headers", stream: 1 }],
  ["message", "0a0208011a0a0a080a040a0268691001", {
    kind: "message",
    stream: 1,
    data: "0a026869",
    endOfMessage: true,
    endOfStream: false,
  }],
  ["trailers, OK", "0a0208012200", { kind: "trailers", stream: 1, status: undefined }],
];

/** A frame in a form to compare: bytes as hexadecimal, without metadata. */
function plain(frame: object): object {
  const { metadata: _, ...rest } = frame as Record<string, unknown>;
  return "data" in rest && rest.data instanceof Uint8Array ? { ...rest, data: hexOf(rest.data) } : rest;
}

for (const [title, hex, expected] of requests) {
  test(`decodeRequest() reads the vector: ${title}`, () => {
    assert.deepEqual(plain(decodeRequest(bytesOf(hex))), expected);
    const generated = fromBinary(RequestSchema, bytesOf(hex));
    assert.equal(hexOf(toBinary(RequestSchema, generated)), hex);
  }, { pure: true });
}

for (const [title, hex, expected] of responses) {
  test(`decodeResponse() reads the vector: ${title}`, () => {
    assert.deepEqual(plain(decodeResponse(bytesOf(hex))), expected);
    const generated = fromBinary(ResponseSchema, bytesOf(hex));
    assert.equal(hexOf(toBinary(ResponseSchema, generated)), hex);
  }, { pure: true });
}

test("decodeResponse() reads the vector: trailers, NOT_FOUND", () => {
  const hex = "0a020801220a0a08080512046e6f7065";
  const frame = decodeResponse(bytesOf(hex));
  assert.equal(frame.kind, "trailers");
  assert.ok(frame.kind === "trailers" && frame.status !== undefined);
  assert.equal(frame.status.code, Code.NotFound);
  assert.equal(frame.status.message, "nope");
  assert.equal(hexOf(toBinary(ResponseSchema, fromBinary(ResponseSchema, bytesOf(hex)))), hex);
}, { pure: true });

test("decodeRequest() keeps lists of metadata values", () => {
  const frame = decodeRequest(
    bytesOf("0a02080112210a062f782e592f5a120d0a0b0a016b12060a01610a01621a0808011080cab5ee01"),
  );
  assert.ok(frame.kind === "headers");
  assert.deepEqual(frame.metadata.listOf("k"), ["a", "b"]);
}, { pure: true });

test("the encoders write the vectors", () => {
  const hi = toBinary(EchoRequestSchema, create(EchoRequestSchema, { message: "hi" }));
  const answer = toBinary(EchoResponseSchema, create(EchoResponseSchema, { message: "hi" }));
  const table: [Uint8Array, string][] = [
    [
      encodeRequestHeaders(1, "/x.Y/Z", new Metadata([["k", "a"], ["k", "b"]]), 1500),
      "0a02080112210a062f782e592f5a120d0a0b0a016b12060a01610a01621a0808011080cab5ee01",
    ],
    [encodeRequestPacket(1, hi, true, true), "0a0208011a0e080112080a040a02686910011801"],
    [encodeRequestPacket(0, hi, true, false), "0a001a0c080112080a040a0268691001"],
    [encodeHalfClose(1), "0a0208011a06120210011801"],
    [encodeRequestPacket(1, new Uint8Array(0), true, false), "0a0208011a06080112021001"],
    [encodeReset(1), "0a0208012001"],
    [encodeResponsePacket(1, answer, true), "0a0208011a0a0a080a040a0268691001"],
    [
      encodeTrailers(1, new ConnectError("nope", Code.NotFound), new Metadata()),
      // Our encoder writes metadata even if it is empty.
      "0a020801220c0a08080512046e6f70651200",
    ],
  ];
  for (const [bytes, hex] of table) assert.equal(hexOf(bytes), hex);
  assert.equal(decodeResponse(encodeResponseHeaders(1, new Metadata())).kind, "headers");
}, { pure: true });

test("the sdp vector is written and read", () => {
  const encoded = "eyJ0eXBlIjoib2ZmZXIiLCJzZHAiOiJ2PTBcclxuIn0=";
  assert.equal(encodeSessionDescription({ type: "offer", sdp: "v=0\r\n" }), encoded);
  assert.deepEqual(decodeSessionDescription(encoded, "offer"), { type: "offer", sdp: "v=0\r\n" });
  assert.throws(() => decodeSessionDescription(encoded, "answer"), /not an answer/);
  assert.throws(() => decodeSessionDescription("%%%", "offer"), /base64/);
}, { pure: true });

test("a frame stays as it is while others are encoded, by the hundred and of every size", () => {
  const frames: [frame: Uint8Array, hex: string][] = [];
  for (let stream = 1; stream <= 300; stream++) {
    const data = new Uint8Array(10 * stream).fill(stream);
    for (const frame of [encodeReset(stream), encodeRequestPacket(stream, data, true, true)]) {
      frames.push([frame, hexOf(frame)]);
    }
  }
  for (const [frame, hex] of frames) assert.equal(hexOf(frame), hex);
}, { pure: true });

test("frames have the sizes of protocol §9, and never exceed 65,535 bytes", () => {
  const packet = new Uint8Array(65_509);
  assert.equal(encodeRequestPacket(1, packet, true, true).length, 65_531);
  assert.equal(encodeRequestPacket(2 ** 35, packet, true, true).length, 65_536);
  assert.equal(encodeRequestPacket(2 ** 35 - 1, packet, true, true).length, 65_535);
  assert.equal(encodeRequestPacket(1, packet.subarray(0, 16_373), true, true).length, 16_393);
}, { pure: true });

test("the fast decoder reads packets of every shape as the generated code does", () => {
  for (const stream of [0, 1, 127, 128, 16_383, 16_384, 2 ** 28 - 1, 2 ** 28, 2 ** 35, 2 ** 45]) {
    for (const size of [0, 1, 2, 125, 126, 127, 128, 16_383, 16_384, 65_509]) {
      for (const [eom, eos] of [[true, true], [true, false], [false, false]] as const) {
        const data = new Uint8Array(size).fill(7);
        const request = encodeRequestPacket(stream, data, eom, eos);
        assertSameRequest(request);
        assert.deepEqual(
          fromBinary(RequestSchema, request),
          create(RequestSchema, {
            stream: { id: BigInt(stream) },
            type: {
              case: "message",
              value: { hasMessage: true, packetMessage: { data, eom }, eos },
            },
          }),
        );
        assertSameResponse(encodeResponsePacket(stream, data, eom));
      }
    }
  }
}, { pure: true });

/** Decodes the packets of a request with the generated code alone. */
function assertSameRequest(bytes: Uint8Array): void {
  const frame = decodeRequest(bytes);
  let oracle: Request;
  try {
    oracle = fromBinary(RequestSchema, bytes);
  } catch {
    assert.equal(frame.kind, "malformed");
    return;
  }
  if (frame.kind === "malformed") {
    assert.ok(oracle.stream === undefined || oracle.stream.id > 2n ** 53n || oracle.type.case === undefined);
    return;
  }
  assert.equal(BigInt(frame.stream), oracle.stream?.id);
  if (frame.kind === "message") {
    assert.ok(oracle.type.case === "message");
    const { hasMessage, packetMessage, eos } = oracle.type.value;
    assert.deepEqual(
      frame.data === undefined ? undefined : hexOf(frame.data),
      hasMessage && packetMessage !== undefined ? hexOf(packetMessage.data) : undefined,
    );
    assert.equal(frame.endOfMessage, hasMessage && (packetMessage?.eom ?? false));
    assert.equal(frame.endOfStream, eos);
  } else {
    assert.equal(frame.kind === "reset" ? "rstStream" : frame.kind, oracle.type.case);
  }
}

function assertSameResponse(bytes: Uint8Array): void {
  const frame = decodeResponse(bytes);
  let oracle: Response;
  try {
    oracle = fromBinary(ResponseSchema, bytes);
  } catch {
    assert.equal(frame.kind, "malformed");
    return;
  }
  if (frame.kind === "malformed") {
    assert.ok(oracle.stream === undefined || oracle.stream.id > 2n ** 53n || oracle.type.case === undefined);
    return;
  }
  assert.equal(BigInt(frame.stream), oracle.stream?.id);
  assert.equal(frame.kind, oracle.type.case);
  if (frame.kind !== "message" || oracle.type.case !== "message") return;
  const packet = oracle.type.value.packetMessage;
  assert.deepEqual(frame.data === undefined ? undefined : hexOf(frame.data), packet && hexOf(packet.data));
  assert.equal(frame.endOfMessage, packet?.eom ?? false);
}

test("the fast decoder reads mutated frames as the generated code does, and never throws", () => {
  const seed = 20_261;
  const random = randomFrom(seed);
  const seeds = [...requests, ...responses].map(([, hex]) => bytesOf(hex));
  seeds.push(encodeRequestPacket(300, new Uint8Array(200), true, true), encodeReset(300));
  for (let round = 0; round < 20_000; round++) {
    const bytes = mutate(seeds[round % seeds.length]!, random);
    try {
      assertSameRequest(bytes);
      assertSameResponse(bytes);
    } catch (error) {
      throw new Error(`seed ${seed}, round ${round}: ${hexOf(bytes)}`, { cause: error });
    }
  }
}, { pure: true });

test(
  "withTool() names this library in the session part of a description, and isByThisLibrary() finds it there",
  () => {
    const sdp =
      "v=0\r\no=rtc 1 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP x\r\na=mid:0\r\n";
    const named = withTool(sdp);
    assert.equal(named.indexOf("a=tool:viam-dial\r\nm=application"), sdp.indexOf("m=application"));
    assert.deepEqual([isByThisLibrary(named), isByThisLibrary(sdp)], [true, false]);
    assert.ok(!isByThisLibrary(sdp.replace("s=-", "s=a=tool:viam-dial")));
  },
  { pure: true },
);
