import assert from "node:assert/strict";
import { parseProxy, type Proxy } from "../../lib/core/net/proxy.ts";
import { ProxyError } from "../../lib/core/net/proxy_error.ts";
import { type Destination, proxyHandshake } from "../../lib/core/net/proxy_handshake.ts";
import { test } from "../harness.ts";

const HTTP = "http://proxy:3128";
const SOCKS = "socks5h://proxy";

function bytesOf(given: string | readonly number[]): Uint8Array {
  return typeof given === "string"
    ? Uint8Array.from(given, (character) => character.charCodeAt(0))
    : Uint8Array.from(given);
}

/** Plays the proxy, whose answers arrive in chunks of a size. */
function play(
  url: string,
  destination: Destination,
  answers: readonly (string | readonly number[])[],
  size: number,
): { readonly sent: Uint8Array[]; readonly rest: Uint8Array } {
  const handshake = proxyHandshake(parseProxy(url) as Proxy, destination);
  const sent: Uint8Array[] = [];
  const advance = (chunk?: Uint8Array) => {
    let step = handshake.next(chunk);
    for (; !step.done && step.value !== undefined; step = handshake.next()) sent.push(step.value);
    return step;
  };
  advance();
  for (const answer of answers) {
    const bytes = bytesOf(answer);
    for (let at = 0; at < bytes.length; at += size) {
      const { done, value } = advance(bytes.subarray(at, at + size));
      if (done) return { sent, rest: value };
    }
  }
  throw new Error("the handshake waits for more");
}

const ROBOT = { hostname: "robot.example", port: 443 };
const CONNECT = "CONNECT robot.example:443 HTTP/1.1\r\nHost: robot.example:443\r\n";
const NAME = [...bytesOf("robot.example")];

const opened: readonly (readonly [
  title: string,
  url: string,
  destination: Destination,
  sent: readonly (string | readonly number[])[],
  answers: readonly (string | readonly number[])[],
])[] = [
  ["CONNECT", HTTP, ROBOT, [`${CONNECT}\r\n`], ["HTTP/1.1 200 Connection established\r\n\r\n"]],
  ["CONNECT, without a reason", HTTP, ROBOT, [`${CONNECT}\r\n`], ["HTTP/1.0 299\r\nVia: x\r\n\r\n"]],
  ["CONNECT to IPv6", HTTP, { hostname: "fd00::1", port: 8080 }, [
    "CONNECT [fd00::1]:8080 HTTP/1.1\r\nHost: [fd00::1]:8080\r\n\r\n",
  ], ["HTTP/1.1 200 OK\r\n\r\n"]],
  [
    "CONNECT with a password beyond ASCII",
    "http://Aladdin:%C3%B6pen@proxy",
    ROBOT,
    [`${CONNECT}Proxy-Authorization: Basic QWxhZGRpbjrDtnBlbg==\r\n\r\n`],
    ["HTTP/1.1 200 OK\r\n\r\n"],
  ],
  ["SOCKS5 to a name", SOCKS, ROBOT, [[5, 1, 0], [5, 1, 0, 3, 13, ...NAME, 1, 187]], [
    [5, 0],
    [5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
  ]],
  ["SOCKS5 to IPv4", SOCKS, { hostname: "192.0.2.1", port: 80 }, [
    [5, 1, 0],
    [5, 1, 0, 1, 192, 0, 2, 1, 0, 80],
  ], [[5, 0], [5, 0, 0, 4, ...Array(16).fill(0), 0, 0]]],
  ["SOCKS5 to IPv6", SOCKS, { hostname: "fd00::1", port: 80 }, [
    [5, 1, 0],
    [5, 1, 0, 4, 0xfd, ...Array(14).fill(0), 1, 0, 80],
  ], [[5, 0], [5, 0, 0, 3, 2, 0x68, 0x69, 0, 0]]],
  ["SOCKS5 with a password", "socks5h://me:p%C3%B6@proxy", ROBOT, [
    [5, 2, 0, 2],
    [1, 2, 0x6d, 0x65, 3, 0x70, 0xc3, 0xb6],
    [5, 1, 0, 3, 13, ...NAME, 1, 187],
  ], [[5, 2], [1, 0], [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]]],
  ["SOCKS5 with a password that nobody wants", "socks5h://me:p@proxy", ROBOT, [
    [5, 2, 0, 2],
    [5, 1, 0, 3, 13, ...NAME, 1, 187],
  ], [[5, 0], [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]]],
];

test("proxyHandshake() opens a tunnel, however the answers are cut", () => {
  for (const [title, url, destination, sent, answers] of opened) {
    for (const size of [1, 2, 7, 1_000]) {
      const played = play(url, destination, answers, size);
      assert.deepEqual(played.sent, sent.map(bytesOf).map((bytes) => Uint8Array.from(bytes)), title);
      assert.equal(played.rest.length, 0, title);
    }
  }
}, { pure: true });

test("proxyHandshake() returns what the server has sent already", () => {
  for (const [title, url, destination, , answers] of opened) {
    const last = [...bytesOf(answers.at(-1)!), 0, 0, 4, 255];
    const { rest } = play(url, destination, [...answers.slice(0, -1), last], 1_000);
    assert.deepEqual([...rest], [0, 0, 4, 255], title);
  }
}, { pure: true });

const refused: readonly (readonly [
  code: string,
  message: string,
  url: string,
  answers: readonly (string | readonly number[])[],
])[] = [
  ["ERR_PROXY_REFUSED", "answered 403 Forbidden", HTTP, [
    "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\ngo away",
  ]],
  ["ERR_PROXY_REFUSED", "answered 302 Found", HTTP, ["HTTP/1.1 302 Found\r\nLocation: http://login\r\n\r\n"]],
  ["ERR_PROXY_REFUSED", "answered 405", "http://me:s3cret@proxy:3128", ["HTTP/1.1 405 no s3cret\r\n\r\n"]],
  ["ERR_PROXY_NO_ROUTE", "answered 503 Service Unavailable", HTTP, [
    "HTTP/1.1 503 Service Unavailable\r\n\r\n",
  ]],
  ["ERR_PROXY_CREDENTIALS", "answered 407: it wants a user name and a password", HTTP, [
    'HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n',
  ]],
  [
    "ERR_PROXY_CREDENTIALS",
    "answered 407: it refuses the user name or the password",
    "http://a:b@proxy:3128",
    [
      "HTTP/1.1 407 x\r\nproxy-authenticate: NTLM\r\nProxy-Authenticate:BASIC\r\n\r\n",
    ],
  ],
  ["ERR_PROXY_CREDENTIALS", "answered 407: it wants Negotiate or NTLM, and only Basic is known here", HTTP, [
    "HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n",
  ]],
  ["ERR_PROXY_PROTOCOL", "does not answer as an HTTP proxy does", HTTP, ["SSH-2.0-OpenSSH\r\n"]],
  ["ERR_PROXY_PROTOCOL", "does not answer as an HTTP proxy does", HTTP, [[0x15, 3, 1, 0, 2]]],
  ["ERR_PROXY_PROTOCOL", "answers without an HTTP status", HTTP, ["HTTP/1.1 OK\r\n\r\n"]],
  ["ERR_PROXY_PROTOCOL", "sends an endless answer", HTTP, [`HTTP/1.1 200 OK\r\nX: ${"x".repeat(40_000)}`]],
  ["ERR_PROXY_CREDENTIALS", "wants a user name and a password", SOCKS, [[5, 255]]],
  ["ERR_PROXY_CREDENTIALS", "takes no user name and password", "socks5h://a:b@proxy", [[5, 1]]],
  ["ERR_PROXY_CREDENTIALS", "refuses the user name or the password", "socks5h://a:b@proxy", [[5, 2], [1, 1]]],
  ["ERR_PROXY_REFUSED", "answered 2: connection not allowed by its rules", SOCKS, [[5, 0], [5, 2, 0, 1]]],
  ["ERR_PROXY_NO_ROUTE", "answered 5: connection refused", SOCKS, [[5, 0], [5, 5]]],
  ["ERR_PROXY_NO_ROUTE", "answered 77: unknown failure", SOCKS, [[5, 0], [5, 77]]],
  ["ERR_PROXY_PROTOCOL", "does not answer as a SOCKS5 proxy does", SOCKS, [
    "HTTP/1.1 400 Bad Request\r\n\r\n",
  ]],
  ["ERR_PROXY_PROTOCOL", "does not answer as a SOCKS5 proxy does", SOCKS, [[5, 0], [4, 0]]],
  ["ERR_PROXY_PROTOCOL", "does not answer as a SOCKS5 proxy does", SOCKS, [[5, 0], [5, 0, 0, 9, 0]]],
];

test("proxyHandshake() names the proxy and its answer, and no password", () => {
  for (const [code, message, url, answers] of refused) {
    for (const size of answers[0]!.length > 1_000 ? [1_000] : [1, 1_000]) {
      assert.throws(() => play(url, ROBOT, answers, size), (error) => {
        assert.ok(error instanceof ProxyError, `${error}`);
        assert.equal(error.code, code, message);
        const name = url.startsWith("http") ? "http://proxy:3128" : "socks5h://proxy:1080";
        assert.equal(error.message, `the proxy ${name} ${message}`);
        return true;
      });
    }
  }
}, { pure: true });
