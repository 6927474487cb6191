import type { StreamKind } from "./stream_kind.ts";

/** The inputs of the choice of a carrier. */
export interface CarrierQuestion {
  readonly runtime: "deno" | "bun" | "node";
  readonly secure: boolean;
  readonly kind: StreamKind;
  /** The protocols that the server is known to speak; undefined while unknown. */
  readonly speaks: { readonly grpcWeb: boolean | undefined; readonly grpc: boolean | undefined };
  /** True for what only node:http2 can do: another server name, a Unix socket, a port that fetch refuses. */
  readonly needsNode: boolean;
  /** True if the call has to leave at once, however busy the program is. */
  readonly urgent?: boolean;
}

/** The carrier for a call: which API, and for fetch which HTTP version. */
export type CarrierChoice = "fetch" | "fetch-http2" | "http2" | { readonly unsupported: string };

/**
 * Chooses the carrier for a call (ARCHITECTURE.md, "The choice of a carrier"). fetch is faster and speaks gRPC-Web;
 * node:http2 speaks native gRPC. A bidirectional call never goes over HTTP/1.1, where it would hang.
 */
export function chooseCarrier(question: CarrierQuestion): CarrierChoice {
  const { runtime, secure, kind, speaks, needsNode, urgent = false } = question;
  if (needsNode || speaks.grpcWeb !== true) {
    return speaks.grpc === false
      ? { unsupported: "the server does not speak native gRPC, and fetch cannot be used" }
      : "http2";
  }
  const unary = kind === "unary";
  if (runtime === "deno") {
    // A request given to Deno's fetch may leave only when the event loop turns again: a busy program's heartbeat came 1.2 s
    // late in 2 runs of 8. node:http2 writes to the socket at once.
    if (urgent && speaks.grpc !== false) return "http2";
    // With TLS the handshake negotiates the version, and a proxy with HTTP/1.1 only can serve all but the last kind. In
    // plaintext the version is fixed beforehand: HTTP/1.1 is faster for short calls, but would take a connection for
    // every stream.
    return unary || (secure && kind !== "bidi_streaming") ? "fetch" : "fetch-http2";
  }
  if (unary) return "fetch";
  // Bun's fetch holds 256 requests a process: long streams would starve unary calls.
  if (speaks.grpc !== false) return "http2";
  if (kind !== "bidi_streaming") return "fetch";
  if (secure && runtime === "bun") return "fetch-http2";
  return {
    unsupported:
      'bidirectional calls need HTTP/2, which this runtime\'s fetch lacks: set protocol to "auto" or "grpc", ' +
      "if the server speaks native gRPC",
  };
}

/** Ports that fetch refuses (https://fetch.spec.whatwg.org/#port-blocking). */
const REFUSED_PORTS = new Set([
  0,
  1,
  7,
  9,
  11,
  13,
  15,
  17,
  19,
  20,
  21,
  22,
  23,
  25,
  37,
  42,
  43,
  53,
  69,
  77,
  79,
  87,
  95,
  101,
  102,
  103,
  104,
  109,
  110,
  111,
  113,
  115,
  117,
  119,
  123,
  135,
  137,
  139,
  143,
  161,
  179,
  389,
  427,
  465,
  512,
  513,
  514,
  515,
  526,
  530,
  531,
  532,
  540,
  548,
  554,
  556,
  563,
  587,
  601,
  636,
  989,
  990,
  993,
  995,
  1719,
  1720,
  1723,
  2049,
  3659,
  4045,
  4190,
  5060,
  5061,
  6000,
  6566,
  6665,
  6666,
  6667,
  6668,
  6669,
  6679,
  6697,
  10080,
]);

/** True if fetch refuses a port. */
export function isPortRefusedByFetch(port: number): boolean {
  return REFUSED_PORTS.has(port);
}
