import assert from "node:assert/strict";
import {
  type CarrierQuestion,
  chooseCarrier,
  isPortRefusedByFetch,
} from "../../lib/core/grpc/carrier_choice.ts";
import type { StreamKind } from "../../lib/core/grpc/stream_kind.ts";
import { test } from "../harness.ts";

const KINDS: readonly StreamKind[] = ["unary", "server_streaming", "client_streaming", "bidi_streaming"];

/** The carrier for each kind of call, in the order of `KINDS`; "-" stands for none. */
const table: readonly (readonly [
  runtime: CarrierQuestion["runtime"],
  secure: boolean,
  choices: readonly string[],
])[] = [
  ["deno", false, ["fetch", "fetch", "fetch", "fetch-http2"]],
  ["deno", true, ["fetch", "fetch", "fetch", "fetch-http2"]],
  ["bun", false, ["fetch", "fetch", "fetch", "-"]],
  ["bun", true, ["fetch", "fetch", "fetch", "fetch-http2"]],
  ["node", false, ["fetch", "fetch", "fetch", "-"]],
  ["node", true, ["fetch", "fetch", "fetch", "-"]],
];

for (const [runtime, secure, choices] of table) {
  const where = `on ${runtime}, ${secure ? "with TLS" : "in cleartext"}`;
  const chosen = (protocol: CarrierQuestion["protocol"]) =>
    KINDS.map((kind) => {
      const choice = chooseCarrier({ runtime, secure, kind, protocol });
      return typeof choice === "string" ? choice : "-";
    });

  test(`chooseCarrier() ${where}: native gRPC goes by node:http2`, () => {
    assert.deepEqual(chosen("grpc"), ["http2", "http2", "http2", "http2"]);
  }, { pure: true });

  test(`chooseCarrier() ${where}: gRPC-Web goes by fetch, and no bidirectional call over HTTP/1.1`, () => {
    assert.deepEqual(chosen("grpc-web"), choices);
  }, { pure: true });
}

test("isPortRefusedByFetch() is true for the ports that the Fetch Standard blocks", () => {
  for (const port of [1, 9, 22, 6000, 6667, 10_080]) assert.ok(isPortRefusedByFetch(port), String(port));
  for (const port of [80, 443, 8080, 8089, 6001]) assert.ok(!isPortRefusedByFetch(port), String(port));
}, { pure: true });
