import assert from "node:assert/strict";
import { ConnectError } from "@connectrpc/connect";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { answerTrailers, Base64Reader, grpcProtocol, requestMetadata } from "../../lib/server/wire.ts";
import { test } from "../harness.ts";

test("grpcProtocol() reads content types", () => {
  const table: readonly (readonly [type: string | undefined, protocol: string | undefined])[] = [
    ["application/grpc", "grpc"],
    ["application/grpc+proto", "grpc"],
    ["Application/gRPC+proto; charset=utf-8", "grpc"],
    ["application/grpc-web", "grpc-web"],
    ["application/grpc-web+proto", "grpc-web"],
    ["application/grpc-web-text", "grpc-web-text"],
    ["application/grpc-web-text+proto", "grpc-web-text"],
    ["application/json", undefined],
    [undefined, undefined],
  ];
  for (const [type, protocol] of table) assert.equal(grpcProtocol(type), protocol, String(type));
}, { pure: true });

test(
  "Base64Reader reads base64 cut at every offset, with padding in the middle, and refuses other text",
  () => {
    const text = new TextEncoder().encode(btoa("a message") + btoa("and") + btoa("one more!!") + btoa("x"));
    for (let cut = 0; cut <= text.length; cut++) {
      const reader = new Base64Reader();
      const read = [text.subarray(0, cut), text.subarray(cut)].map((part) =>
        new TextDecoder().decode(reader.push(part))
      );
      assert.equal(read.join(""), "a messageandone more!!x");
      assert.ok(reader.atBoundary);
    }
    const reader = new Base64Reader();
    reader.push(text.subarray(0, 6));
    assert.ok(!reader.atBoundary);
    assert.throws(() => new Base64Reader().push(new TextEncoder().encode("a*b.")), ConnectError);
  },
  { pure: true },
);

test("requestMetadata() keeps the call's metadata, each value by itself", () => {
  const metadata = requestMetadata([
    ...[":method", "POST", "Content-Type", "application/grpc", "te", "trailers", "grpc-timeout", "1S"],
    ...["X-List", "a, b", "x-list", "c", "x-raw-bin", "AAE=", "user-agent", "it", "sec-fetch-mode", "cors"],
    ...["authorization", "Bearer t", "origin", "http://localhost", "cookie", "a=b"],
  ]);
  assert.deepEqual([...metadata.lists()].map(([name, values]) => [name, [...values]]), [
    ["authorization", ["Bearer t"]],
    ["x-list", ["a, b", "c"]],
    ["x-raw-bin", ["AAE="]],
  ]);
}, { pure: true });

test("answerTrailers() has the status and the metadata", () => {
  const trailers = answerTrailers(
    new ConnectError("gö", 5),
    new Metadata([["x-a", "1"], ["x-a", "2"], ["content-type", "x"], ["grpc-status", "0"]]),
  );
  assert.deepEqual(trailers, { "x-a": ["1", "2"], "grpc-status": ["5"], "grpc-message": ["g%C3%B6"] });
  assert.deepEqual(answerTrailers(undefined, new Headers()), { "grpc-status": ["0"] });
}, { pure: true });

test(
  "answerTrailers() joins the values of a header that HTTP/2 allows once, which its server rejects twice",
  () => {
    const metadata = new Metadata([["age", "1"], ["age", "2"], ["x-list", "a"], ["x-list", "b"]]);
    const trailers = answerTrailers(undefined, metadata);
    assert.deepEqual([trailers["age"], trailers["x-list"]], [["1, 2"], ["a", "b"]]);
  },
  { pure: true },
);
