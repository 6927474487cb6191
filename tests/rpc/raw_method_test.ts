import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { type BytesValue, BytesValueSchema } from "@bufbuild/protobuf/wkt";
import { EchoService } from "../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";
import { messageFromBytes, messageToBytes, rawMethod } from "../../lib/rpc/raw_method.ts";
import { test } from "../harness.ts";

test("rawMethod() is the method of the path, of each kind", () => {
  for (const kind of ["unary", "server_streaming", "client_streaming", "bidi_streaming"] as const) {
    const method = rawMethod("/a.b.Service/Method", kind);
    assert.deepEqual(
      [method.parent.typeName, method.name, method.methodKind],
      ["a.b.Service", "Method", kind],
    );
  }
  assert.equal(rawMethod("/Service/Method", "unary").parent.typeName, "Service");
}, { pure: true });

test("rawMethod() refuses what is no path", () => {
  for (const path of ["", "/", "a.b.Service/Method", "/a.b.Service", "/a.b.Service/", "/a/b/c", "//m"]) {
    assert.throws(() => rawMethod(path, "unary"), TypeError, path);
  }
}, { pure: true });

test("a raw method's messages go over the wire as they are, even such as no protobuf could be", () => {
  const method = rawMethod("/a.b.Service/Method", "unary");
  const value = Uint8Array.of(0xff, 0xff, 0xff);
  const message = create(BytesValueSchema, { value });
  assert.equal(messageToBytes(method, method.input, message), value);
  assert.equal((messageFromBytes(method, method.output, value) as BytesValue).value, value);
}, { pure: true });

test("any other method's messages are protobuf, BytesValue too", () => {
  const { echo } = EchoService.method;
  const bytes = messageToBytes(echo, echo.input, create(echo.input, { message: "a" }));
  assert.deepEqual([...bytes], [0x0a, 0x01, 0x61]);
  assert.equal(messageFromBytes(echo, echo.output, bytes).message, "a");
  assert.throws(() => messageFromBytes(echo, echo.output, Uint8Array.of(0xff)));
}, { pure: true });
