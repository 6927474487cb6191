import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { endOf, fieldValue, formatTimeout, type StatusEnd } from "../core/grpc/grpc_status.ts";
import { headerValues } from "../core/grpc/header_values.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import { authorityOf } from "../core/net/target.ts";
import type { CallRequest } from "../rpc/carrier.ts";
import { compressionHeaders, type Compressor } from "./compressor.ts";
import type { ResponseHeaders } from "./answer_reader.ts";
import type { Endpoint } from "./endpoint.ts";
import { isSendable } from "./sendable.ts";

/** Bytes that an entry takes besides its name and value (RFC 9113, section 6.5.2). */
const ENTRY_BYTES = 32;

/**
 * Most bytes of a call's metadata. Node and Deno send a block of headers up to 64 KiB, and Bun loses the connection at
 * larger ones.
 */
const MAX_METADATA_BYTES = 60 * 1024;

/** Makes the headers of requests to one server (grpc/doc/PROTOCOL-HTTP2.md, *Requests*; PROTOCOL-WEB.md). */
export function requestHeadersFor(
  endpoint: Endpoint,
  compressor: Compressor | undefined,
  protocol: "grpc" | "grpc-web" = "grpc",
): (request: CallRequest) => OutgoingHttpHeaders {
  // Node's own authority leaves an IPv6 address without brackets (RFC 3986, section 3.2.2).
  const authority = endpoint.hostname.includes(":") ? { ":authority": authorityOf(endpoint) } : {};
  const compression = compressor === undefined ? {} : Object.fromEntries(compressionHeaders(compressor));
  /** Those of metadata that comes again. */
  let last: { readonly metadata: Metadata; readonly headers: OutgoingHttpHeaders } | undefined;

  function commonHeaders(metadata: Metadata, constant: boolean | undefined): OutgoingHttpHeaders {
    if (last?.metadata === metadata) return last.headers;
    const headers: OutgoingHttpHeaders = {};
    let bytes = 0;
    for (const [name, values] of metadata.lists()) {
      if (!isSendable(name)) continue;
      for (const value of values) bytes += name.length + value.length + ENTRY_BYTES;
      headers[name] = values.length === 1 ? values[0]! : headerValues(name, values);
    }
    if (bytes > MAX_METADATA_BYTES) {
      throw new ConnectError(
        `the call's metadata takes ${bytes} bytes, over the limit of ${MAX_METADATA_BYTES}`,
        Code.ResourceExhausted,
      );
    }
    headers[":method"] = "POST";
    Object.assign(headers, authority);
    headers["content-type"] = `application/${protocol}+proto`;
    if (protocol === "grpc") headers["te"] = "trailers";
    else headers["x-grpc-web"] = "1";
    Object.assign(headers, compression);
    if (constant === true) last = { metadata, headers };
    return headers;
  }

  return ({ metadata, constant, path, timeoutMs }) => {
    const headers: OutgoingHttpHeaders = { ...commonHeaders(metadata, constant), ":path": path };
    if (timeoutMs !== undefined) headers["grpc-timeout"] = formatTimeout(timeoutMs());
    return headers;
  };
}

/** Reads the headers of a response; only those that are asked for. */
export function responseHeadersOf(fields: IncomingHttpHeaders): ResponseHeaders {
  let metadata: Metadata | undefined;
  const all = () => metadata ??= metadataOf(fields);
  return {
    get(name) {
      const value = fields[name];
      return value === undefined ? null : Array.isArray(value) ? all().get(name) : value;
    },
    all,
  };
}

/** Reads the headers or the trailers of a response. */
function metadataOf(headers: IncomingHttpHeaders): Metadata {
  const single: Record<string, string> = {};
  let lists: [name: string, values: readonly string[]][] | undefined;
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (name.startsWith(":") || value === undefined) continue;
    if (Array.isArray(value)) (lists ??= []).push([name, value]);
    else single[name] = fieldValue(name, value);
  }
  const metadata = new Metadata(single);
  for (const [name, values] of lists ?? []) {
    for (const value of values) metadata.append(name, fieldValue(name, value));
  }
  return metadata;
}

/** Reads the end of a call from the trailers of a response. */
export function endOfTrailers(trailers: IncomingHttpHeaders): StatusEnd {
  return isBareOk(trailers) ? new BareOk() : endOf(metadataOf(trailers));
}

/** OK and no trailers, of which metadata is made only where somebody looks. */
class BareOk implements StatusEnd {
  readonly known = true;
  readonly error = undefined;
  #trailers: Metadata | undefined;

  get trailers(): Metadata {
    return this.#trailers ??= new Metadata();
  }
}

/** True if the trailers mean OK and contain nothing else: the end of nearly every call, which costs no more than this. */
function isBareOk(trailers: IncomingHttpHeaders): boolean {
  if (trailers["grpc-status"] !== "0") return false;
  for (const name of Object.keys(trailers)) {
    if (name !== "grpc-status" && (name !== "grpc-message" || trailers[name] !== "")) return false;
  }
  return true;
}
