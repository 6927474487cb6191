import { Code, ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { concatenate, TRAILERS } from "../../core/grpc/envelope.ts";
import { headerValues } from "../../core/grpc/header_values.ts";
import { Metadata } from "../../core/grpc/metadata.ts";

/*
 * gRPC and gRPC-Web as a server speaks them (grpc/doc/PROTOCOL-HTTP2.md, PROTOCOL-WEB.md).
 */

/** What a caller speaks; the last is gRPC-Web in base64, for pages that cannot read bytes as they come. */
export type ServedProtocol = "grpc" | "grpc-web" | "grpc-web-text";

/** What a content type says; undefined for what is not served. */
export function servedProtocol(contentType: string | undefined): ServedProtocol | undefined {
  const type = (contentType ?? "").split(";")[0]!.trim().toLowerCase();
  const match = /^application\/(grpc|grpc-web|grpc-web-text)(?:\+[\w.-]+)?$/.exec(type);
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
    if (isOfTheCall(name)) headers[name] = headerValues(name, values);
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
 * Reads base64 as it comes, cut anywhere; each part of it may have its own padding (PROTOCOL-WEB.md, "text").
 */
export class Base64Reader {
  #rest = "";

  /** Whether it may end here. */
  get atBoundary(): boolean {
    return this.#rest === "";
  }

  /**
   * Takes a piece of the text.
   *
   * @throws ConnectError `InvalidArgument` when it is no base64
   */
  push(text: Uint8Array): Uint8Array {
    const whole = this.#rest + new TextDecoder("latin1").decode(text);
    const end = whole.length - whole.length % 4;
    this.#rest = whole.slice(end);
    const parts = whole.slice(0, end).match(/[^=]+=*/g) ?? [];
    try {
      return concatenate(parts.map((part) => Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0))));
    } catch (error) {
      throw new ConnectError("the request is no base64", Code.InvalidArgument, undefined, undefined, error);
    }
  }
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
