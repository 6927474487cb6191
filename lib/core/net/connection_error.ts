import { Code, ConnectError } from "@connectrpc/connect";
import { causesOf, messageOf } from "../error_message.ts";

/** Codes of `node:net`, `node:tls` and `node:http2`, which Bun's fetch shares. The first that matches counts. */
const REASONS = [
  // Its cause may have a code of the others.
  [/^ERR_PROXY_URL$/, "the URL of the proxy is wrong"],
  [/^ERR_PROXY_UNREACHABLE$/, "the proxy cannot be reached"],
  [/^ERR_PROXY_TLS$/, "no TLS with the proxy"],
  [/^ERR_PROXY_CREDENTIALS$/, "the proxy wants credentials"],
  [/^ERR_PROXY_REFUSED$/, "the proxy refuses"],
  [/^ERR_PROXY_NO_ROUTE$/, "the proxy cannot reach the server"],
  [/^ERR_PROXY_PROTOCOL$/, "no such proxy there"],
  [/^ECONNREFUSED$/, "connection refused"],
  [/^(?:ENOTFOUND|EAI_\w+)$/, "name not found"],
  [/^E(?:HOST|NET)UNREACH$/, "no route to host"],
  [/^ETIMEDOUT$/, "timed out"],
  [/^ERR_SSL_\w*ALERT_CERTIFICATE_REQUIRED$/, "a client certificate is required"],
  [/^ERR_TLS_EXPECTED$/, "the server speaks TLS"],
  [/^HPE_HEADER_OVERFLOW$/, "headers too large"],
  [/^(?:Z_\w+|ZlibError)$/, "the answer cannot be decompressed"],
  [
    /^ERR_HTTP2_EXPECTED$|^ERR_SSL_\w*NO_APPLICATION_PROTOCOL$/,
    "the server, or a proxy in front of it, speaks HTTP/1.1 alone",
  ],
  [/^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_)/, "certificate not trusted"],
  [/^(?:EPROTO$|ERR_SSL_|ERR_TLS_)/, "TLS failed"],
  [
    /^(?:ECONNRESET|ECONNABORTED|EPIPE|ERR_HTTP2_\w+|HTTP2\w+|ERR_STREAM_\w+)$/,
    "connection lost",
  ],
] as const;

/** The reason why a server cannot be reached, in the field's words. */
export type ConnectionReason = (typeof REASONS)[number][1];

/** Finds the reason of a failed connection by the codes of an error and its causes; undefined when no code is known. */
export function connectionReason(error: unknown): ConnectionReason | undefined {
  const codes = [...codesOf(error)];
  return REASONS.find(([pattern]) => codes.some((code) => pattern.test(code)))?.[1];
}

/** Tells whether a proxy is to blame, and not the server. */
export function isProxyFailure(error: unknown): boolean {
  return codesOf(error).some((code) => code.startsWith("ERR_PROXY_"));
}

function codesOf(error: unknown) {
  return causesOf(error).map((cause) => (cause as { readonly code?: unknown }).code)
    .filter((code) => typeof code === "string");
}

/** A failure that this side finds out, with the code that a runtime would give it. */
export function connectionFailure(
  code: "ECONNRESET" | "ETIMEDOUT" | "ERR_TLS_EXPECTED" | "ERR_HTTP2_EXPECTED" | "ERR_HTTP2_UNREADABLE",
  message: string,
  options?: ErrorOptions,
): Error {
  return Object.assign(new Error(message, options), { code });
}

/** The end of a call whose connection failed. `target` is `host:port`. */
export function connectionError(target: string, error: unknown): ConnectError {
  const reason = connectionReason(error);
  const detail = messageOf(error);
  const text = reason === undefined
    ? `cannot reach ${target}: ${detail}`
    : `${reason}: ${target} (${detail})`;
  const code = reason === "headers too large" ? Code.ResourceExhausted : Code.Unavailable;
  return new ConnectError(text, code, undefined, undefined, error);
}
