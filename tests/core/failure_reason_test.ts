import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { type FailureReason, failureReason, mayPass } from "../../lib/core/dial/failure_reason.ts";
import { ExchangeError, type ExchangeFailure } from "../../lib/core/ice/exchange_error.ts";
import { EngineThreadError } from "../../lib/core/ice/engine_thread_error.ts";
import { ProxyError } from "../../lib/core/net/proxy_error.ts";
import { connectionError } from "../../lib/core/net/connection_error.ts";
import { test } from "../harness.ts";

const status = (text: string, code: Code) => new ConnectError(text, code);
const unreachable = (code: string) =>
  connectionError("robot:443", Object.assign(new Error("failed"), { code }));
const exchange = (reason: ExchangeFailure, cause: ConnectError) => new ExchangeError(reason, cause);

const failures: readonly [title: string, error: unknown, reason: FailureReason, passes: boolean][] = [
  ["nobody listens", unreachable("ECONNREFUSED"), "connection refused", true],
  ["no route", unreachable("EHOSTUNREACH"), "no route to host", true],
  ["no network", unreachable("ENETUNREACH"), "no route to host", true],
  ["no DNS", unreachable("EAI_AGAIN"), "name not found", true],
  ["a name that DNS does not know now", unreachable("ENOTFOUND"), "name not found", true],
  ["silence", unreachable("ETIMEDOUT"), "timed out", true],
  ["a reset connection", unreachable("ECONNRESET"), "connection lost", true],
  [
    "a reset connection during signaling",
    exchange("signaling", unreachable("ECONNRESET")),
    "connection lost",
    true,
  ],
  [
    "a bare socket error",
    Object.assign(new Error("x"), { code: "ECONNREFUSED" }),
    "connection refused",
    true,
  ],
  ["a certificate of nobody's", unreachable("SELF_SIGNED_CERT_IN_CHAIN"), "certificate not trusted", false],
  [
    "a client certificate that is missing",
    unreachable("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"),
    "a client certificate is required",
    false,
  ],
  ["a gateway with nothing behind it", status("HTTP status 502", Code.Unavailable), "status", true],
  ["too many requests", status("HTTP status 429", Code.ResourceExhausted), "status", true],
  ["a server's own failure", status("oops", Code.Internal), "status", true],
  ["an offer that nobody answers", exchange("signaling", status("x", Code.DeadlineExceeded)), "status", true],
  ["an offer whose answer is lost", exchange("unanswered", status("x", Code.Unavailable)), "status", true],
  [
    "a machine that is offline",
    exchange("signaling", status("host appears to be offline; …", Code.NotFound)),
    "offline",
    true,
  ],
  ["a machine that nobody knows", status("no such host", Code.NotFound), "status", false],
  [
    "a name that the server does not serve",
    status("host not preconfigured", Code.InvalidArgument),
    "status",
    false,
  ],
  ["a nonexistent service", status("unknown service", Code.Unimplemented), "status", false],
  ["a wrong key", status("invalid credentials", Code.Unauthenticated), "credentials", false],
  [
    "a key of another machine",
    exchange("signaling", status("no", Code.PermissionDenied)),
    "credentials",
    false,
  ],
  ["ICE that finds no path", exchange("connection", status("failed", Code.Unavailable)), "ice", true],
  ["relays that cannot be reached", exchange("relay", status("none", Code.Unavailable)), "ice", true],
  ["a machine whose ICE finds no path", exchange("answerer", status("x", Code.Unknown)), "ice", true],
  ["no TURN server to force", exchange("connection", status("x", Code.FailedPrecondition)), "ice", false],
  ["a proxy that is away", unreachable("ERR_PROXY_UNREACHABLE"), "the proxy cannot be reached", true],
  ["a proxy that finds no way", unreachable("ERR_PROXY_NO_ROUTE"), "the proxy cannot reach the server", true],
  [
    "a proxy that wants a password",
    unreachable("ERR_PROXY_CREDENTIALS"),
    "the proxy wants credentials",
    false,
  ],
  ["a proxy that refuses", unreachable("ERR_PROXY_REFUSED"), "the proxy refuses", false],
  ["a proxy that is none", unreachable("ERR_PROXY_PROTOCOL"), "no such proxy there", false],
  ["a proxy without TLS", unreachable("ERR_PROXY_TLS"), "no TLS with the proxy", false],
  ["a proxy with a wrong URL", unreachable("ERR_PROXY_URL"), "the URL of the proxy is wrong", false],
  [
    "a proxy where nobody listens",
    connectionError(
      "robot:443",
      new ProxyError(
        "ERR_PROXY_UNREACHABLE",
        "p",
        "x",
        Object.assign(new Error("x"), { code: "ECONNREFUSED" }),
      ),
    ),
    "the proxy cannot be reached",
    true,
  ],
  ["a worker", new EngineThreadError(), "worker", false],
  [
    "a permission",
    connectionError(
      "robot:443",
      new Error('Requires net access to "robot:443", run again with the --allow-net flag'),
    ),
    "permission",
    false,
  ],
  ["a module that is missing", new TypeError("Cannot find module"), "unknown", false],
  ["no error at all", "thrown", "unknown", false],
];
for (const [title, error, reason, passes] of failures) {
  test(
    `failureReason() of ${title} is "${reason}", and mayPass() ${passes ? "" : "does not "}let it pass`,
    () => {
      assert.equal(failureReason(error), reason);
      assert.equal(mayPass(error), passes);
    },
    { pure: true },
  );
}

test("failureReason() takes no word of a server for the runtime's", () => {
  for (
    const text of ["connection refused", "certificate not trusted: x", "Requires net access, run again with"]
  ) {
    assert.equal(failureReason(status(text, Code.Internal)), "status");
    assert.equal(failureReason(exchange("signaling", status(text, Code.Internal))), "status");
  }
}, { pure: true });
