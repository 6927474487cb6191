import { byteString, concatenate } from "../bytes.ts";
import { parseIp } from "./ip.ts";
import { joinHostPort } from "./address.ts";
import type { Proxy } from "./proxy.ts";
import { ProxyError } from "./proxy_error.ts";
import type { Target } from "./target.ts";

/** The place that a proxy is asked to connect to. */
export type Destination = Pick<Target, "hostname" | "port">;

/**
 * The client's side of a handshake with a proxy. It yields bytes to send, after which it goes on at once, or undefined
 * to wait, after which it is given the next chunk. It returns what the server itself has sent already, once the tunnel is
 * open.
 *
 * @throws {ProxyError} if the proxy refuses, or answers in another protocol
 */
export type Handshake = Generator<Uint8Array | undefined, Uint8Array, Uint8Array | undefined>;

/** Most bytes of an answer of an HTTP proxy: its status line and headers. */
const MAX_ANSWER_BYTES = 16_384;

/** Makes the handshake that a proxy's scheme calls for. */
export function proxyHandshake(proxy: Proxy, destination: Destination): Handshake {
  return proxy.scheme === "http" || proxy.scheme === "https"
    ? httpHandshake(proxy, destination)
    : socksHandshake(proxy, destination);
}

/** Asks an HTTP proxy for a tunnel (RFC 9110, section 9.3.6). */
function* httpHandshake(proxy: Proxy, { hostname, port }: Destination): Handshake {
  const place = joinHostPort(hostname, port);
  const { username, password = "" } = proxy;
  const request = [
    `CONNECT ${place} HTTP/1.1`,
    `Host: ${place}`,
    ...(username === undefined
      ? []
      : [`Proxy-Authorization: Basic ${btoa(byteString(encode(`${username}:${password}`)))}`]),
    "",
    "",
  ].join("\r\n");
  yield encode(request);
  let bytes: Uint8Array = new Uint8Array(0);
  let text: string;
  while (!(text = byteString(bytes)).includes("\r\n\r\n")) {
    if (!text.startsWith("HTTP/1.".slice(0, text.length))) {
      throw new ProxyError("ERR_PROXY_PROTOCOL", proxy, "does not answer as an HTTP proxy does");
    }
    if (bytes.length > MAX_ANSWER_BYTES) {
      throw new ProxyError("ERR_PROXY_PROTOCOL", proxy, "sends an endless answer");
    }
    bytes = concatenate([bytes, (yield undefined)!]);
  }
  const end = text.indexOf("\r\n\r\n") + 4;
  const status = /^HTTP\/1\.[0-9] ([0-9]{3})(?: ([\x20-\x7e]*))?\r\n/.exec(text);
  if (status === null) throw new ProxyError("ERR_PROXY_PROTOCOL", proxy, "answers without an HTTP status");
  const code = Number(status[1]);
  if (code >= 200 && code < 300) return bytes.subarray(end);
  if (code === 407) {
    const kinds = [...text.slice(0, end).matchAll(/^proxy-authenticate: *([\w-]+)/gim)].map(([, kind]) =>
      kind!
    );
    const wanted = kinds.length === 0 || kinds.some((kind) => kind.toLowerCase() === "basic")
      ? username === undefined
        ? "it wants a user name and a password"
        : "it refuses the user name or the password"
      : `it wants ${[...new Set(kinds)].join(" or ")}, and only Basic is known here`;
    throw new ProxyError("ERR_PROXY_CREDENTIALS", proxy, `answered 407: ${wanted}`);
  }
  // Some proxies repeat what they were sent.
  const phrase = (status[2] ?? "").trim();
  const isSafe = password === "" || !phrase.includes(password);
  throw new ProxyError(
    code >= 500 ? "ERR_PROXY_NO_ROUTE" : "ERR_PROXY_REFUSED",
    proxy,
    `answered ${code}${isSafe && phrase !== "" ? ` ${phrase.slice(0, 80)}` : ""}`,
  );
}

const SOCKS_VERSION = 5;
const WITHOUT_AUTHENTICATION = 0;
const WITH_PASSWORD = 2;
const NO_METHOD = 0xff;

/** The replies of RFC 1928, section 6. */
const SOCKS_REPLIES: Readonly<Record<number, string>> = {
  1: "general failure",
  2: "connection not allowed by its rules",
  3: "network unreachable",
  4: "host unreachable",
  5: "connection refused",
  6: "TTL expired",
  7: "command not supported",
  8: "address type not supported",
};

/** Replies that say that the proxy itself does not want to. */
const SOCKS_REFUSALS: ReadonlySet<number> = new Set([2, 7, 8]);

/** Asks a SOCKS5 proxy for a connection (RFC 1928), with a user name and a password if there are any (RFC 1929). */
function* socksHandshake(proxy: Proxy, { hostname, port }: Destination): Handshake {
  const { username, password = "" } = proxy;
  const methods = username === undefined ? [WITHOUT_AUTHENTICATION] : [WITHOUT_AUTHENTICATION, WITH_PASSWORD];
  yield Uint8Array.of(SOCKS_VERSION, methods.length, ...methods);
  let bytes: Uint8Array = new Uint8Array(0);
  const strange = () => new ProxyError("ERR_PROXY_PROTOCOL", proxy, "does not answer as a SOCKS5 proxy does");
  /** Waits for so many bytes. */
  function* atLeast(count: number): Generator<undefined, void, Uint8Array | undefined> {
    while (bytes.length < count) bytes = concatenate([bytes, (yield undefined)!]);
  }

  yield* atLeast(1);
  if (bytes[0] !== SOCKS_VERSION) throw strange();
  yield* atLeast(2);
  const method = bytes[1]!;
  bytes = bytes.subarray(2);
  if (method === NO_METHOD || !methods.includes(method)) {
    throw new ProxyError(
      "ERR_PROXY_CREDENTIALS",
      proxy,
      username === undefined ? "wants a user name and a password" : "takes no user name and password",
    );
  }
  if (method === WITH_PASSWORD) {
    const [user, pass] = [encode(username!), encode(password)];
    yield Uint8Array.of(1, user.length, ...user, pass.length, ...pass);
    yield* atLeast(2);
    if (bytes[1] !== 0) {
      throw new ProxyError("ERR_PROXY_CREDENTIALS", proxy, "refuses the user name or the password");
    }
    bytes = bytes.subarray(2);
  }
  yield Uint8Array.of(SOCKS_VERSION, 1, 0, ...socksAddress(hostname), port >> 8, port & 0xff);
  yield* atLeast(1);
  if (bytes[0] !== SOCKS_VERSION) throw strange();
  yield* atLeast(2);
  const reply = bytes[1]!;
  if (reply !== 0) {
    throw new ProxyError(
      SOCKS_REFUSALS.has(reply) ? "ERR_PROXY_REFUSED" : "ERR_PROXY_NO_ROUTE",
      proxy,
      `answered ${reply}: ${SOCKS_REPLIES[reply] ?? "unknown failure"}`,
    );
  }
  yield* atLeast(5);
  const length = { 1: 4, 3: 1 + bytes[4]!, 4: 16 }[bytes[3]!];
  if (length === undefined) throw strange();
  yield* atLeast(4 + length + 2);
  return bytes.subarray(4 + length + 2);
}

/** The type and the bytes of an address: IPv4, IPv6 or a name. */
function socksAddress(hostname: string): number[] {
  const address = parseIp(hostname);
  if (address === undefined) {
    const name = encode(hostname);
    return [3, name.length, ...name];
  }
  const size = address.version === 4 ? 4 : 16;
  const bytes = Array.from(
    { length: size },
    (_, index) => Number((address.value >> BigInt(8 * (size - 1 - index))) & 0xffn),
  );
  return [address.version === 4 ? 1 : 4, ...bytes];
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
