import { causesOf, messageOf } from "../error_message.ts";

/*
 * Deno's fetch says why it failed in words alone, in the messages of a chain of causes. This is the only file that reads
 * them. Everything else that fails, on any runtime, has a code.
 */

/** Words of Deno's fetch, and the code that other runtimes have for the same. The first that matches counts. */
const CODES: readonly (readonly [words: RegExp, code: string])[] = [
  // Several requests wait for one connection to be made. When the one that makes it is aborted, the others fail.
  [/client error \(Connect\): request was canceled/, "ERR_REQUEST_UNSENT"],
  // REFUSED_STREAM, and a GOAWAY without an error whose last stream came before this one (RFC 9113, section 8.7). A
  // stream that the server took before its GOAWAY ends as "broken pipe" or "connection reset".
  [
    /stream error received: refused stream|connection error received: not a result of an error/,
    "ERR_REQUEST_UNSENT",
  ],
  [/Connection refused/, "ECONNREFUSED"],
  [/dns error/, "ENOTFOUND"],
  [/No route to host/, "EHOSTUNREACH"],
  [/Network is unreachable/, "ENETUNREACH"],
  [/timed out/, "ETIMEDOUT"],
  [/received fatal alert: CertificateRequired/, "ERR_SSL_ALERT_CERTIFICATE_REQUIRED"],
  [/invalid peer certificate: .*CaUsedAsEndEntity/, "CERT_CA_USED_AS_END_ENTITY"],
  [/invalid peer certificate/, "CERT_UNTRUSTED"],
  [/received fatal alert: NoApplicationProtocol/, "ERR_HTTP2_EXPECTED"],
  [/InvalidContentType|received fatal alert|peer is incompatible|peer misbehaved/, "EPROTO"],
  // Over HTTP/1.1 it takes 100 headers.
  [/message head is too large/, "HPE_HEADER_OVERFLOW"],
  // The first bytes of an HTTP/1.1 answer, read as a frame.
  [/frame with invalid size/, "ERR_HTTP2_EXPECTED"],
  [
    /connection (?:reset|closed|error)|broken pipe|handshake eof|unexpected end|error reading a body|http2 error|stream error/i,
    "ECONNRESET",
  ],
];

/** The code that stands for a failure of Deno's fetch; undefined for any other error. */
export function denoFetchCode(error: unknown): string | undefined {
  const text = textsOf(error).join("\n");
  return CODES.find(([words]) => words.test(text))?.[1];
}

/** The text of an error; of a failure of Deno's fetch, what lies below its "fetch failed", without the URL. */
export function denoFetchDetail(error: unknown): string {
  const lowest = textsOf(error).at(-1);
  return lowest === undefined ? messageOf(error) : lowest.replace(
    /^error sending request (?:for url|from \S+ for \S+) \(\S+\): (?:client error \(\w+\): )?/,
    "",
  );
}

/** The messages of a fetch's `TypeError` and of what caused it, from the top down. */
function textsOf(error: unknown): string[] {
  return error instanceof TypeError ? Array.from(causesOf(error), ({ message }) => message) : [];
}
