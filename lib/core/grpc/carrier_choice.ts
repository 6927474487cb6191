import type { StreamKind } from "./stream_kind.ts";

/** The inputs of the choice of a carrier. */
export interface CarrierQuestion {
  readonly runtime: "deno" | "bun" | "node";
  readonly secure: boolean;
  readonly kind: StreamKind;
  /** The protocol that the server speaks: native gRPC, where it speaks both. */
  readonly protocol: "grpc" | "grpc-web";
}

/** The carrier for a call: which API, and for fetch which HTTP version. */
export type CarrierChoice = "fetch" | "fetch-http2" | "http2" | { readonly unsupported: string };

/**
 * Chooses the carrier for a call (ARCHITECTURE.md, "The choice of a carrier"). node:http2 speaks native gRPC, and sees
 * what fetch hides: that a connection is silent, and that it has no room.
 */
export function chooseCarrier({ runtime, secure, kind, protocol }: CarrierQuestion): CarrierChoice {
  if (protocol === "grpc") return "http2";
  // A connection for each call: no stream takes the room of others, and a proxy may speak HTTP/1.1 alone.
  if (kind !== "bidi_streaming") return "fetch";
  // Over HTTP/1.1 it would hang.
  if (runtime === "deno" || (runtime === "bun" && secure)) return "fetch-http2";
  return {
    unsupported:
      "the server speaks gRPC-Web alone, and a bidirectional call of that needs HTTP/2, which this runtime's " +
      "fetch lacks: if it also speaks native gRPC, reach it without a proxy that speaks HTTP/1.1, and set protocol to " +
      '"auto" or "grpc"',
  };
}

/** Ports that fetch refuses (https://fetch.spec.whatwg.org/#port-blocking). */
const REFUSED_PORTS = new Set([
  ...[0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102],
  ...[103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465],
  ...[512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993],
  ...[995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668],
  ...[6669, 6679, 6697, 10080],
]);

/** True if fetch refuses a port. */
export function isPortRefusedByFetch(port: number): boolean {
  return REFUSED_PORTS.has(port);
}
