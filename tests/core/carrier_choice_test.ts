import assert from "node:assert/strict";
import {
  type CarrierQuestion,
  chooseCarrier,
  isPortRefusedByFetch,
} from "../../lib/core/grpc/carrier_choice.ts";
import type { StreamKind } from "../../lib/core/grpc/stream_kind.ts";
import { test } from "../harness.ts";

const KINDS: readonly StreamKind[] = ["unary", "server_streaming", "client_streaming", "bidi_streaming"];

const BOTH = { grpcWeb: true, grpc: true };
const WEB_ALONE = { grpcWeb: true, grpc: false };
const WEB_AT_LEAST = { grpcWeb: true, grpc: undefined };
const NATIVE_ALONE = { grpcWeb: false, grpc: true };

/** The carrier for each kind of call, in the order of `KINDS`; "-" stands for none. */
const table: readonly (readonly [
  runtime: CarrierQuestion["runtime"],
  secure: boolean,
  speaks: CarrierQuestion["speaks"],
  needsNode: boolean,
  choices: readonly string[],
])[] = [
  ["deno", false, WEB_AT_LEAST, false, ["fetch", "fetch-http2", "fetch-http2", "fetch-http2"]],
  ["deno", false, WEB_ALONE, false, ["fetch", "fetch-http2", "fetch-http2", "fetch-http2"]],
  ["deno", true, BOTH, false, ["fetch", "fetch", "fetch", "fetch-http2"]],
  ["deno", true, NATIVE_ALONE, false, ["http2", "http2", "http2", "http2"]],
  ["deno", true, BOTH, true, ["http2", "http2", "http2", "http2"]],
  ["bun", false, WEB_AT_LEAST, false, ["fetch", "http2", "http2", "http2"]],
  ["bun", false, WEB_ALONE, false, ["fetch", "fetch", "fetch", "-"]],
  ["bun", true, WEB_ALONE, false, ["fetch", "fetch", "fetch", "fetch-http2"]],
  ["bun", true, NATIVE_ALONE, false, ["http2", "http2", "http2", "http2"]],
  ["bun", false, WEB_ALONE, true, ["-", "-", "-", "-"]],
  ["node", false, BOTH, false, ["fetch", "http2", "http2", "http2"]],
  ["node", true, WEB_ALONE, false, ["fetch", "fetch", "fetch", "-"]],
];

for (const [runtime, secure, speaks, needsNode, choices] of table) {
  const title = `${runtime}, ${secure ? "TLS" : "cleartext"}, ${
    JSON.stringify(speaks)
  }, needsNode ${needsNode}`;
  test(`chooseCarrier() ${title}`, () => {
    const chosen = KINDS.map((kind) => {
      const choice = chooseCarrier({ runtime, secure, kind, speaks, needsNode });
      return typeof choice === "string" ? choice : "-";
    });
    assert.deepEqual(chosen, choices);
  }, { pure: true });
}

test(
  "chooseCarrier() sends an urgent call on Deno by node:http2, where the server speaks native gRPC",
  () => {
    const urgent = { secure: true, kind: "unary", needsNode: false, urgent: true } as const;
    for (const secure of [false, true]) {
      const on = (runtime: CarrierQuestion["runtime"], speaks: CarrierQuestion["speaks"]) =>
        chooseCarrier({ ...urgent, secure, runtime, speaks });
      assert.equal(on("deno", BOTH), "http2");
      assert.equal(on("deno", WEB_AT_LEAST), "http2");
      assert.equal(on("deno", WEB_ALONE), "fetch");
      assert.equal(on("bun", BOTH), "fetch");
      assert.equal(on("node", BOTH), "fetch");
    }
  },
  { pure: true },
);

test("isPortRefusedByFetch() is true for the ports that the Fetch Standard blocks", () => {
  for (const port of [1, 9, 22, 6000, 6667, 10_080]) assert.ok(isPortRefusedByFetch(port), String(port));
  for (const port of [80, 443, 8080, 8089, 6001]) assert.ok(!isPortRefusedByFetch(port), String(port));
}, { pure: true });
