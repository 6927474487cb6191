import assert from "node:assert/strict";
import { chooseCarrier, isPortRefusedByFetch } from "../../lib/core/grpc/carrier_choice.ts";
import type { StreamKind } from "../../lib/core/grpc/stream_kind.ts";
import { test } from "../harness.ts";

const KINDS: readonly StreamKind[] = ["unary", "server_streaming", "client_streaming", "bidi_streaming"];

test("chooseCarrier() takes node:http2 for native gRPC, and for gRPC-Web where HTTP/1.1 would hang", () => {
  const chosen = (protocol: "grpc" | "grpc-web") => KINDS.map((kind) => chooseCarrier(protocol, kind));
  assert.deepEqual(chosen("grpc"), ["http2", "http2", "http2", "http2"]);
  assert.deepEqual(chosen("grpc-web"), ["fetch", "fetch", "fetch", "http2-web"]);
}, { pure: true });

test("isPortRefusedByFetch() is true for the ports that the Fetch Standard blocks", () => {
  for (const port of [1, 9, 22, 6000, 6667, 10_080]) assert.ok(isPortRefusedByFetch(port), String(port));
  for (const port of [80, 443, 8080, 8089, 6001]) assert.ok(!isPortRefusedByFetch(port), String(port));
}, { pure: true });
