import { Code, ConnectError } from "@connectrpc/connect";

/*
 * Why a server cannot be reached. The runtimes tell the same in different words: Deno's fetch in the messages of a
 * chain of causes, Bun's in a code, node's sockets in a code.
 */

/** Why a server cannot be reached, in the field's words. */
export type ConnectionReason =
  | "connection refused"
  | "name not found"
  | "no route to host"
  | "timed out"
  | "a client certificate is required"
  | "certificate not trusted"
  | "TLS failed"
  | "connection lost";

const REASONS: readonly (readonly [pattern: RegExp, reason: ConnectionReason])[] = [
  [/ECONNREFUSED|ConnectionRefused|connection refused/i, "connection refused"],
  [/ENOTFOUND|EAI_AGAIN|DNSException|getaddrinfo|dns error|failed to lookup/i, "name not found"],
  [/EHOSTUNREACH|ENETUNREACH|no route to host|network (?:is )?unreachable/i, "no route to host"],
  [/ETIMEDOUT|timed out/i, "timed out"],
  [/CERTIFICATE_?REQUIRED/i, "a client certificate is required"],
  [
    /certificate|CaUsedAsEndEntity|CERT_|UNABLE_TO_VERIFY|SELF_SIGNED|UnknownIssuer|NotValidForName|ERR_TLS|HandshakeFailure/i,
    "certificate not trusted",
  ],
  [/EPROTO|WRONG_VERSION|InvalidContentType|fatal alert|peer is incompatible|ssl|tls/i, "TLS failed"],
  [
    /ECONNRESET|EPIPE|ConnectionClosed|connection (?:reset|closed|error)|socket hang up|broken pipe|unexpected (?:eof|end)|IncompleteMessage|SendRequest|HTTP2|ERR_HTTP/i,
    "connection lost",
  ],
];

/** The reason of an error of the runtime; undefined when it is none of those. */
export function connectionReason(error: unknown): ConnectionReason | undefined {
  const texts: string[] = [];
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    const { code } = cause as { code?: unknown };
    texts.push(`${typeof code === "string" ? code : ""} ${cause.message}`);
  }
  const text = texts.join(" ");
  return REASONS.find(([pattern]) => pattern.test(text))?.[1];
}

/** The texts of what caused an error: where none is known, whatever there is to know helps. */
function causesOf(error: unknown): string {
  let text = "";
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    text += `: ${cause.message}`;
  }
  return text;
}

/** What Deno's fetch says of every failure tells nothing; what lies below it does. */
function deepestOf(error: unknown): string {
  let deepest = error;
  for (let depth = 0; deepest instanceof Error && deepest.cause instanceof Error && depth < 5; depth++) {
    deepest = deepest.cause;
  }
  const text = deepest instanceof Error ? deepest.message : String(deepest);
  return text.replace(/^error sending request for url \(\S+\): (?:client error \(\w+\): )?/, "");
}

/** The end of a call whose connection failed. `target` is `host:port`. */
export function connectionError(target: string, error: unknown): ConnectError {
  const detail = error instanceof Error ? error.message : String(error);
  const reason = connectionReason(error);
  return new ConnectError(
    reason === undefined
      ? `cannot reach ${target}: ${detail}${causesOf(error)}`
      : `${reason}: ${target} (${detail === "fetch failed" ? deepestOf(error) : detail})`,
    Code.Unavailable,
    undefined,
    undefined,
    error,
  );
}
