import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, encodeBinaryHeader } from "@connectrpc/connect";
import { fromWireMetadata } from "../../lib/core/channel/wire_metadata.ts";
import { endOf, formatTimeout, isContentType, parseTrailers } from "../../lib/core/grpc/grpc_status.ts";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { StatusSchema } from "../../proto/gen/google/rpc/status_pb.ts";
import { MetadataSchema } from "../../proto/gen/proto/rpc/webrtc/v1/grpc_pb.ts";
import { test } from "../harness.ts";

const details = encodeBinaryHeader(toBinary(
  StatusSchema,
  create(StatusSchema, {
    code: 5,
    message: "no such ärm",
    details: [{ typeUrl: "type.googleapis.com/a.B", value: Uint8Array.of(1) }],
  }),
));

type Expected = readonly [code: Code, text: string] | "ok" | "unknown";
const ends: readonly [title: string, trailers: Record<string, string>, expected: Expected][] = [
  ["OK", { "grpc-status": "0" }, "ok"],
  ["OK with text", { "grpc-status": "0", "grpc-message": "fine" }, "ok"],
  ["nothing", { "x-other": "1" }, "unknown"],
  ["a code and text", { "grpc-status": "5", "grpc-message": "gone" }, [Code.NotFound, "gone"]],
  ["a code alone", { "grpc-status": "16" }, [Code.Unauthenticated, ""]],
  ["encoded text", { "grpc-status": "5", "grpc-message": "n%C3%B6%0A%20%25" }, [Code.NotFound, "nö\n %"]],
  ["a percent sign that encodes nothing", { "grpc-status": "5", "grpc-message": "100% of 5%" }, [
    Code.NotFound,
    "100% of 5%",
  ]],
  ["bytes that are not UTF-8", { "grpc-status": "5", "grpc-message": "a%FFb%41" }, [Code.NotFound, "a%FFbA"]],
  ["details", { "grpc-status": "5", "grpc-message": "x", "grpc-status-details-bin": details }, [
    Code.NotFound,
    "no such ärm",
  ]],
  ["details that are not base64", {
    "grpc-status": "5",
    "grpc-message": "x",
    "grpc-status-details-bin": "%%%",
  }, [
    Code.NotFound,
    "x",
  ]],
  ["details that do not parse", { "grpc-status": "5", "grpc-status-details-bin": "////" }, [
    Code.NotFound,
    "",
  ]],
  ["a code after the last one", { "grpc-status": "17", "grpc-message": "x" }, [Code.Unknown, "x"]],
  ["zeros that do not mean OK", { "grpc-status": "00" }, [
    Code.Internal,
    "the server sent 00 as grpc-status",
  ]],
  ["a code that is not a number", { "grpc-status": "5x" }, [
    Code.Internal,
    'the server sent "5x" as grpc-status',
  ]],
  ["a negative number", { "grpc-status": "-1" }, [Code.Internal, 'the server sent "-1" as grpc-status']],
  ["no text at all", { "grpc-status": "" }, [Code.Internal, 'the server sent "" as grpc-status']],
];

for (const [title, trailers, expected] of ends) {
  test(`endOf() reads ${title}`, () => {
    const { known, error, trailers: rest } = endOf(new Metadata({ ...trailers, "x-kept": "1" }));
    assert.equal(known, expected !== "unknown");
    if (typeof expected === "string") assert.equal(error, undefined);
    else assert.deepEqual([error?.code, error?.rawMessage], expected);
    const kept = [...rest.keys()].filter((name) => name !== "x-other");
    assert.deepEqual(kept, ["x-kept"]);
    if (error !== undefined) assert.equal(error.metadata.get("x-kept"), "1");
    assert.equal(error?.details.length ?? 0, title === "details" ? 1 : 0);
  }, { pure: true });
}

test("parseTrailers() keeps repeated values, and skips lines that are not headers", () => {
  const block = new TextEncoder().encode(
    "Grpc-Status: 0\r\nx: 1\r\nX:2\r\n\r\n: 3\r\nb\0d: 4\r\nnothing\r\ny-bin: AA==,AQ\r\ny-bin: Ag\r\n",
  );
  const trailers = parseTrailers(block);
  assert.deepEqual([...trailers.keys()], ["grpc-status", "x", "y-bin"]);
  assert.deepEqual(trailers.listOf("x"), ["1", "2"]);
  // Some were joined on the way.
  assert.deepEqual(trailers.listOf("y-bin"), ["AA==", "AQ", "Ag"]);
}, { pure: true });

test(
  "parseTrailers() and fromWireMetadata() read as many entries as HTTP/2 has room for, and any status",
  () => {
    const names = Array.from({ length: 3_000 }, (_, index) => `x-${index}`);
    const block = [...names, "grpc-status", "grpc-message"].map((name) => `${name}: 5\r\n`).join("");
    const { error, trailers } = endOf(parseTrailers(new TextEncoder().encode(block)));
    assert.equal(error?.message, "[not_found] 5");
    assert.equal([...trailers.keys()].length, 2_048);
    const md = Object.fromEntries(names.map((name) => [name, { values: ["5"] }]));
    assert.equal([...fromWireMetadata(create(MetadataSchema, { md })).keys()].length, 2_048);
  },
  { pure: true },
);

test("isContentType() accepts the types of its protocol only", () => {
  for (
    const type of [
      "application/grpc",
      "application/grpc+proto",
      "Application/gRPC;charset=utf-8",
      "application/grpc, application/grpc",
    ]
  ) {
    assert.equal(isContentType(type, "grpc"), true, type);
  }
  for (
    const type of [
      null,
      "",
      "application/grpc-web",
      "application/grpc+json",
      "text/html",
      "application/grpc, text/html",
    ]
  ) {
    assert.equal(isContentType(type, "grpc"), false, String(type));
  }
}, { pure: true });

test("formatTimeout() writes at most eight digits, and never zero", () => {
  const table: [number, string][] = [
    [0.2, "1m"],
    [1, "1m"],
    [1_500.2, "1501m"],
    [99_999_999, "99999999m"],
    [100_000_000, "100000S"],
    [1e13, "166666667M"],
    [1e15, "277777778H"],
    [1e30, "99999999H"],
  ];
  for (const [milliseconds, expected] of table) {
    if (expected.length <= 9) assert.equal(formatTimeout(milliseconds), expected);
    assert.ok(/^\d{1,8}[mSMH]$/.test(formatTimeout(milliseconds)), formatTimeout(milliseconds));
  }
}, { pure: true });
