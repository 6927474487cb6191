import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, decodeBinaryHeader } from "@connectrpc/connect";
import { StatusSchema } from "../../../proto/gen/google/rpc/status_pb.ts";
import { byteString } from "../bytes.ts";
import { MAX_METADATA_ENTRIES } from "../limits.ts";
import { Metadata } from "./metadata.ts";
import { fromWireStatus } from "./wire_status.ts";

/*
 * The status of a gRPC call in HTTP: gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md) and gRPC-Web.
 */

/**
 * Reads the trailers block of a gRPC-Web body: header lines with names in any letter case, repeated or not. Of too many,
 * only the status is read to the end.
 */
export function parseTrailers(block: Uint8Array): Metadata {
  const trailers = new Metadata();
  let entries = 0;
  for (const line of byteString(block).split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon).trim();
    if (++entries > MAX_METADATA_ENTRIES && !STATUS_NAMES.includes(name.toLowerCase())) continue;
    try {
      // One space belongs to the syntax, as in HTTP/1.1.
      trailers.append(name, fieldValue(name, line.slice(colon + 1).replace(/^ /, "")));
    } catch {
      // `Headers` cannot hold it.
    }
  }
  return trailers;
}

/**
 * The value of a field as `Headers` keep it: they cut white space off at both ends and refuse line breaks. Custom metadata
 * may lose it, but the text of an error may not. There it is percent-encoded, as servers may do it
 * (grpc/doc/PROTOCOL-HTTP2.md).
 */
export function fieldValue(name: string, value: string): string {
  if (name.toLowerCase() !== "grpc-message") return value;
  return value.replace(/^[ \t]+|[ \t]+$|[\0\r\n]+/g, encodeURIComponent);
}

/** The last block that meant a plain OK; a server writes it in the same bytes every time. */
let plainOk: Uint8Array | undefined;

/** True if the trailers block at the end of a gRPC-Web body means OK and contains nothing else. */
export function isPlainOk(body: Uint8Array, at: number): boolean {
  if (plainOk !== undefined && endsWith(body, at, plainOk)) return true;
  const block = body.subarray(at);
  const { known, error, trailers } = endOf(parseTrailers(block));
  if (!known || error !== undefined || trailers.keys().next().done !== true) return false;
  plainOk = block.slice();
  return true;
}

/** Compares in place: making a view would take longer than the comparison. */
function endsWith(bytes: Uint8Array, at: number, end: Uint8Array): boolean {
  if (bytes.length - at !== end.length) return false;
  for (let index = 0; index < end.length; index++) if (bytes[at + index] !== end[index]) return false;
  return true;
}

/** Trailers of the protocol; the rest belong to the application. */
const STATUS_NAMES = ["grpc-status", "grpc-message", "grpc-status-details-bin"];

/** The end of a call, as its trailers tell it. */
export interface StatusEnd {
  /** True if there is a status. */
  readonly known: boolean;
  readonly error: ConnectError | undefined;
  /** Those of the application; all of them where there is no status. */
  readonly trailers: Metadata;
}

/** Reads the end of a call from its trailers, or from headers that replace them. Never throws. */
export function endOf(trailers: Metadata): StatusEnd {
  const statuses = trailers.get("grpc-status")?.split(", ");
  if (statuses === undefined) return { known: false, error: undefined, trailers };
  const rest = new Metadata(trailers);
  for (const name of STATUS_NAMES) rest.delete(name);
  // A server and a proxy in front of it may both write the end of a call.
  const times = statuses.every((status) => status === statuses[0]) ? statuses.length : 1;
  const [status, text, details] = STATUS_NAMES.map((name) => once(trailers.get(name), times));
  const error = status === "0" ? undefined : errorOf(status!, text ?? "", details, rest);
  return { known: true, error, trailers: rest };
}

/** A value that came so many times, and was joined with ", ". */
function once(value: string | null, times: number): string | undefined {
  if (value === null) return undefined;
  const part = value.slice(0, (value.length + 2) / times - 2);
  return value === Array(times).fill(part).join(", ") ? part : value;
}

function errorOf(status: string, text: string, details: string | undefined, rest: Metadata): ConnectError {
  if (!/^\d{1,9}$/.test(status)) {
    return new ConnectError(`the server sent ${JSON.stringify(status)} as grpc-status`, Code.Internal, rest);
  }
  // The status in protobuf takes precedence over code and text, as in grpc-go, unless it cannot be parsed.
  return detailed(details, rest) ?? fromWireStatus(
    { code: Number(status), message: percentDecoded(text), details: [] },
    rest,
  ) ?? new ConnectError(`the server sent ${status} as grpc-status`, Code.Internal, rest);
}

function detailed(details: string | undefined, rest: Metadata): ConnectError | undefined {
  if (details === undefined) return undefined;
  try {
    return fromWireStatus(fromBinary(StatusSchema, decodeBinaryHeader(details)), rest);
  } catch {
    return undefined;
  }
}

/**
 * Decodes text from a header, also the UTF-8 of a server that leaves it as it is. Bytes that are not UTF-8 stay
 * unchanged: "when decoding invalid values, implementations must not error" (grpc/doc/PROTOCOL-HTTP2.md).
 */
function percentDecoded(value: string): string {
  return value.replace(/(?:%[0-9A-Fa-f]{2}|[\x80-\xff])+/g, (encoded) => {
    try {
      return decodeURIComponent(
        encoded.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`),
      );
    } catch {
      return encoded;
    }
  });
}

/** The codes of HTTP statuses without a gRPC status (grpc/doc/http-grpc-status-mapping.md); `Unknown` for others. */
const HTTP_CODES: Readonly<Record<number, Code>> = {
  400: Code.Internal,
  401: Code.Unauthenticated,
  403: Code.PermissionDenied,
  404: Code.Unimplemented,
  429: Code.Unavailable,
  502: Code.Unavailable,
  503: Code.Unavailable,
  504: Code.Unavailable,
};

/** True if a content type is that of the protocol: with `+proto`, bare, with parameters, in any letter case. */
export function isContentType(value: string | null, protocol: "grpc" | "grpc-web"): boolean {
  if (value === null) return false;
  if (value === `application/${protocol}+proto`) return true;
  const type = undoubled(value).split(";")[0]!.trim().toLowerCase();
  return type === `application/${protocol}` || type === `application/${protocol}+proto`;
}

/** A value once, where a server and a proxy in front of it have both written it. */
export function undoubled(value: string): string {
  const [first, ...others] = value.split(", ");
  return others.every((other) => other === first) ? first! : value;
}

const STOPPED = "the server stopped before the call had ended";

/**
 * Returns the error of an answer that ended without a status. A status that was announced, or an empty block of trailers,
 * is what grpc-go behind net/http and gRPC-Web leaves of a call when it stops.
 */
export function withoutStatus(
  headers: HeaderReader | undefined,
  trailers: Metadata | undefined,
): ConnectError {
  const announced = headers?.get("trailer")?.toLowerCase().includes("grpc-status") === true;
  const isEmpty = trailers?.keys().next().done === true;
  return announced || isEmpty
    ? new ConnectError(STOPPED, Code.Unavailable)
    : new ConnectError("the server sent no status", Code.Internal);
}

/** Response headers by name, as `Headers` give them. */
export type HeaderReader = Pick<Headers, "get">;

/** Returns the error of a response that is not a gRPC answer, without metadata; undefined if its body can be read. */
export function refuseResponse(
  status: number,
  headers: HeaderReader,
  protocol: "grpc" | "grpc-web",
  compression?: string,
): ConnectError | undefined {
  if (status !== 200) {
    const code = HTTP_CODES[status] ?? Code.Unknown;
    return new ConnectError(`HTTP status ${status} instead of a gRPC answer`, code);
  }
  const type = headers.get("content-type");
  // The answer of net/http when grpc-go, behind it, has stopped.
  if (type === null) return new ConnectError(STOPPED, Code.Unavailable);
  if (!isContentType(type, protocol)) {
    const message = `content type ${JSON.stringify(type)} instead of a gRPC answer`;
    return new ConnectError(message, Code.Unknown);
  }
  // fetch has undone a content-encoding; gRPC over HTTP/2 has none.
  const encoding = (protocol === "grpc" ? headers.get("content-encoding") : null) ??
    headers.get("grpc-encoding");
  if (encoding !== null && !["", "identity", compression].includes(undoubled(encoding))) {
    const message = `the server compresses with ${JSON.stringify(encoding)} unasked`;
    return new ConnectError(message, Code.Internal);
  }
  return undefined;
}

/** Formats a timeout for HTTP: at most eight digits and a unit, and never less than one unit. */
export function formatTimeout(timeoutMs: number): string {
  for (const [unit, milliseconds] of [["m", 1], ["S", 1_000], ["M", 60_000], ["H", 3_600_000]] as const) {
    const value = Math.max(1, Math.ceil(timeoutMs / milliseconds));
    if (value < 100_000_000) return `${value}${unit}`;
  }
  return "99999999H";
}
