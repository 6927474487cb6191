import { Code, ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { TRAILERS } from "../../core/envelope.ts";
import { Metadata } from "../../core/metadata.ts";

/*
 * gRPC and gRPC-Web as a server speaks them (grpc/doc/PROTOCOL-HTTP2.md, PROTOCOL-WEB.md).
 */

/** What a caller speaks. */
export type ServedProtocol = "grpc" | "grpc-web";

/** What a content type says; undefined for what is not served. */
export function servedProtocol(contentType: string | undefined): ServedProtocol | undefined {
  const type = (contentType ?? "").split(";")[0]!.trim().toLowerCase();
  const match = /^application\/(grpc|grpc-web)(?:\+[\w.-]+)?$/.exec(type);
  return match === null ? undefined : match[1] as ServedProtocol;
}

/** Units of `grpc-timeout`, in milliseconds. */
const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * Reads `grpc-timeout`; undefined without one. A deadline that is as good as over is a millisecond: to no time at all
 * transports say that there is no deadline.
 *
 * @throws ConnectError `InvalidArgument` when it is none
 */
export function parseTimeout(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const match = /^(\d{1,8})([HMSmun])$/.exec(value);
  if (match === null) {
    throw new ConnectError(
      `grpc-timeout is ${JSON.stringify(value)}, which is no time`,
      Code.InvalidArgument,
    );
  }
  return Math.max(1, Number(match[1]) * UNITS[match[2]!]!);
}

/** What is between the two ends of one connection, and says nothing of the call. */
const OF_THE_CONNECTION = new Set([
  ...[
    "connection",
    "content-length",
    "content-type",
    "date",
    "host",
    "keep-alive",
    "server",
    "te",
    "trailer",
  ],
  ...[
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "vary",
    "accept",
    "accept-encoding",
    "accept-language",
  ],
  ...["cache-control", "cookie", "origin", "pragma", "referer", "user-agent", "x-grpc-web", "x-user-agent"],
]);

function isOfTheCall(name: string): boolean {
  return !OF_THE_CONNECTION.has(name) && !/^(?::|grpc-|sec-|access-control-|proxy-)/.test(name);
}

/** The metadata of a call among the headers of its request; `raw` is `name, value, name, value`. */
export function requestMetadata(raw: readonly string[]): Metadata {
  const metadata = new Metadata();
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at]!.toLowerCase();
    if (isOfTheCall(name)) metadata.append(name, raw[at + 1]!);
  }
  return metadata;
}

/** Metadata of an answer as headers, each name with all its values. */
export function answerHeaders(metadata: Headers): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, values] of Metadata.from(metadata).lists()) {
    if (isOfTheCall(name)) headers[name] = [...values];
  }
  return headers;
}

/** The trailers that end a call: its status, and its metadata. */
export function answerTrailers(error: ConnectError | undefined, metadata: Headers): Record<string, string[]> {
  const status = new Headers();
  setTrailerStatus(status, error);
  return {
    ...answerHeaders(metadata),
    ...Object.fromEntries([...status].map(([name, value]) => [name, [value]])),
  };
}

/** Trailers as the last frame of a gRPC-Web body. */
export function trailersFrame(trailers: Readonly<Record<string, readonly string[]>>): Uint8Array {
  const lines = Object.entries(trailers).flatMap(([name, values]) =>
    values.map((value) => `${name}: ${value}\r\n`)
  );
  const block = new TextEncoder().encode(lines.join(""));
  const frame = new Uint8Array(5 + block.length);
  frame[0] = TRAILERS;
  new DataView(frame.buffer).setUint32(1, block.length);
  frame.set(block, 5);
  return frame;
}

/**
 * Whether a page may call, by the Origin header of its request: without one it is no page; pages of this computer
 * may; others only if they are named. Otherwise any page that its user visits could move a robot.
 */
export function mayCall(origin: string | undefined, allowed: readonly string[]): boolean {
  if (origin === undefined || allowed.includes("*") || allowed.includes(origin)) return true;
  try {
    const { hostname } = new URL(origin);
    return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" ||
      /^127(?:\.\d{1,3}){3}$/.test(hostname);
  } catch {
    return false;
  }
}
