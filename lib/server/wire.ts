import type { IncomingMessage, ServerResponse } from "node:http";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { isConnectionHeader } from "../core/grpc/connection_headers.ts";
import { concatenate } from "../core/bytes.ts";
import { encodeEnvelope, TRAILERS } from "../core/grpc/envelope.ts";
import { headerValues } from "../core/grpc/header_values.ts";
import { Metadata } from "../core/grpc/metadata.ts";

/*
 * The server side of gRPC and gRPC-Web (grpc/doc/PROTOCOL-HTTP2.md, PROTOCOL-WEB.md).
 */

/** The common type of the requests of `node:http` and `node:http2`. */
export type HttpRequest = IncomingMessage;

/** The common type of their responses. */
export type HttpResponse = ServerResponse;

/** Handles a request of either server. */
export type HttpHandler = (request: HttpRequest, response: HttpResponse) => void;

/** A protocol of gRPC; the last is gRPC-Web in base64, for pages that cannot read bytes as they arrive. */
export type GrpcProtocol = "grpc" | "grpc-web" | "grpc-web-text";

/** Returns the protocol of a content type; undefined if it is not one of gRPC's. */
export function grpcProtocol(contentType: string | undefined): GrpcProtocol | undefined {
  const type = (contentType ?? "").split(";")[0]!.trim().toLowerCase();
  const match = /^application\/(grpc|grpc-web|grpc-web-text)(?:\+[\w.-]+)?$/.exec(type);
  return match === null ? undefined : match[1] as GrpcProtocol;
}

/** Headers of HTTP clients and servers, besides those of the connection, that are not metadata of a call. */
const OF_HTTP = new Set([
  ...["accept", "accept-encoding", "accept-language", "cache-control", "cookie", "date", "origin", "pragma"],
  ...["referer", "server", "user-agent", "vary", "x-grpc-web", "x-user-agent"],
]);

function isMetadata(name: string): boolean {
  return !isConnectionHeader(name) && !OF_HTTP.has(name) &&
    !/^(?::|grpc-|sec-|access-control-|proxy-)/.test(name);
}

/** Reads the metadata of a call from the raw headers of its request: `name, value, name, value`. */
export function requestMetadata(rawHeaders: readonly string[]): Metadata {
  const metadata = new Metadata();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!.toLowerCase();
    if (isMetadata(name)) metadata.append(name, rawHeaders[at + 1]!);
  }
  return metadata;
}

/** Converts metadata of an answer to headers, each name with all its values. */
export function answerHeaders(metadata: Headers): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, values] of Metadata.from(metadata).lists()) {
    if (isMetadata(name)) headers[name] = headerValues(name, values);
  }
  return headers;
}

/** Returns the trailers that end a call: its status and its metadata. */
export function answerTrailers(error: ConnectError | undefined, metadata: Headers): Record<string, string[]> {
  const status = new Headers();
  setTrailerStatus(status, error);
  return {
    ...answerHeaders(metadata),
    ...Object.fromEntries([...status].map(([name, value]) => [name, [value]])),
  };
}

/** Ends an answer with trailers: gRPC-Web's are the last frame of the body. */
export function endAnswer(
  response: HttpResponse,
  protocol: GrpcProtocol,
  trailers: Readonly<Record<string, readonly string[]>>,
): void {
  if (protocol === "grpc") {
    // The types allow lists in headers only; in trailers they mean the same.
    response.addTrailers(trailers as unknown as Record<string, string>);
    response.end();
    return;
  }
  const lines = Object.entries(trailers).flatMap(([name, values]) =>
    values.map((value) => `${name}: ${value}\r\n`)
  );
  const frame = encodeEnvelope(new TextEncoder().encode(lines.join("")), TRAILERS);
  response.end(protocol === "grpc-web-text" ? base64Encode(frame) : frame);
}

/**
 * Decodes base64 in pieces, cut anywhere. Each message in it may have its own padding (PROTOCOL-WEB.md, "text").
 */
export class Base64Reader {
  #rest = "";

  /** True if the text may end here. */
  get atBoundary(): boolean {
    return this.#rest === "";
  }

  /**
   * Decodes a piece of the text.
   *
   * @throws ConnectError `InvalidArgument` when it is not base64
   */
  push(text: Uint8Array): Uint8Array {
    const whole = this.#rest + new TextDecoder("latin1").decode(text);
    const end = whole.length - whole.length % 4;
    this.#rest = whole.slice(end);
    const parts = whole.slice(0, end).match(/[^=]+=*/g) ?? [];
    try {
      return concatenate(parts.map((part) => Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0))));
    } catch (error) {
      throw new ConnectError("the request is not base64", Code.InvalidArgument, undefined, undefined, error);
    }
  }
}

/** The path of a request, whose target may also be a whole URL (RFC 9112, section 3.2.2). */
export function pathOf({ url = "" }: { readonly url?: string | undefined }): string {
  return url.replace(/^https?:\/\/[^/?]*/i, "").split("?", 1)[0]!;
}
