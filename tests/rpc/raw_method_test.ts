import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { type BytesValue, BytesValueSchema } from "@bufbuild/protobuf/wkt";
import { EchoService } from "../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";
import { parse, serialize } from "../../lib/rpc/message_codec.ts";
import { rawMethod } from "../../lib/rpc/raw_method.ts";
import { test } from "../harness.ts";

test("rawMethod() makes a method of each kind with the path's names", () => {
  for (const kind of ["unary", "server_streaming", "client_streaming", "bidi_streaming"] as const) {
    const method = rawMethod("/a.b.Service/Method", kind);
    assert.deepEqual(
      [method.parent.typeName, method.name, method.methodKind],
      ["a.b.Service", "Method", kind],
    );
  }
  assert.equal(rawMethod("/Service/Method", "unary").parent.typeName, "Service");
}, { pure: true });

test("rawMethod() throws TypeError for anything but /package.Service/Method", () => {
  for (const path of ["", "/", "a.b.Service/Method", "/a.b.Service", "/a.b.Service/", "/a/b/c", "//m"]) {
    assert.throws(() => rawMethod(path, "unary"), TypeError, path);
  }
}, { pure: true });

test("serialize() and parse() pass a raw method's bytes unchanged, even if they are not protobuf", () => {
  const method = rawMethod("/a.b.Service/Method", "unary");
  const value = Uint8Array.of(0xff, 0xff, 0xff);
  const message = create(BytesValueSchema, { value });
  assert.equal(serialize(method, message), value);
  assert.equal((parse(method, value) as BytesValue).value, value);
}, { pure: true });

test("serialize() and parse() use protobuf for every other method", () => {
  const { echo } = EchoService.method;
  const bytes = serialize(echo, create(echo.input, { message: "a" }));
  assert.deepEqual([...bytes], [0x0a, 0x01, 0x61]);
  assert.equal(parse(echo, bytes).message, "a");
  assert.throws(() => parse(echo, Uint8Array.of(0xff)));
}, { pure: true });
