import type { StreamKind } from "./stream_kind.ts";

/** The carrier for a call: gRPC-Web by requests of HTTP/1.1, or either protocol by `node:http2`. */
export type CarrierChoice = "fetch" | "http2" | "http2-web";

/**
 * Chooses the carrier for a call (ARCHITECTURE.md, "The choice of a carrier"). node:http2 sees what HTTP/1.1 hides: that
 * a connection is silent, and that it has no room.
 *
 * @param protocol The protocol that the server speaks: native gRPC, where it speaks both.
 */
export function chooseCarrier(protocol: "grpc" | "grpc-web", kind: StreamKind): CarrierChoice {
  if (protocol === "grpc") return "http2";
  // Over HTTP/1.1 a bidirectional call would hang. The others have a connection each there: no stream takes the room of
  // others, and a proxy may speak HTTP/1.1 alone.
  return kind === "bidi_streaming" ? "http2-web" : "fetch";
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
