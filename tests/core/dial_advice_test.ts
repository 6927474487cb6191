import assert from "node:assert/strict";
import { dialAdvice, PHASE_WAITS } from "../../lib/core/dial/dial_advice.ts";
import { missingPermission, permissionAdvice } from "../../lib/core/dial/permission.ts";
import { connectionReason } from "../../lib/core/net/connection_error.ts";
import type { DialPhase } from "../../lib/core/dial/timeline.ts";
import { test } from "../harness.ts";

const phases = Object.keys(PHASE_WAITS) as DialPhase[];

// Messages of Deno 2.9.6, and the command to run instead.
const refusals: readonly [message: string, phase: DialPhase, advice: string | undefined][] = [
  [
    'Requires net access to "127.0.0.1:8080", run again with the --allow-net flag',
    "connect",
    "Run deno with --allow-net=127.0.0.1:8080, or with --allow-net",
  ],
  [
    '(Error: Requires ffi access to "/a/b.node", run again with the --allow-ffi flag',
    "engine",
    "Run deno with --allow-ffi=/a/b.node, or with --allow-ffi; WebRTC needs --allow-ffi and --allow-read for its " +
    "engine, disableWebrtc dials without it",
  ],
  [
    'Requires read access to "/a b.sock", run again with the --allow-read flag',
    "connect",
    "Run deno with --allow-read; a Unix socket needs --allow-read and --allow-write",
  ],
  [
    "Requires read access to <CWD>, run again with the --allow-read flag",
    "connect",
    "Run deno with --allow-read=CWD, or with --allow-read; a Unix socket needs --allow-read and --allow-write",
  ],
  ["connect ECONNREFUSED 127.0.0.1:1", "connect", undefined],
];
for (const [message, phase, advice] of refusals) {
  test(`permissionAdvice() of ${message}`, () => {
    const missing = missingPermission(message);
    assert.equal(missing === undefined ? undefined : permissionAdvice(missing, phase), advice);
  }, { pure: true });
}

test("dialAdvice() has advice for every phase", () => {
  for (const phase of phases) {
    assert.match(dialAdvice("unknown", phase), /^[A-Z].*[a-zA-Z]$/);
    assert.equal(dialAdvice("status", phase), dialAdvice("unknown", phase));
  }
}, { pure: true });

// As the runtimes tell them.
const reasons: readonly [code: string, advice: RegExp][] = [
  ["ECONNREFUSED", /the machine runs there/],
  ["ENOTFOUND", /spelling of the name/],
  ["EHOSTUNREACH", /network/],
  ["ETIMEDOUT", /firewall/],
  ["SELF_SIGNED_CERT_IN_CHAIN", /tls\.ca/],
  ["CERT_CA_USED_AS_END_ENTITY", /tls\.ca/],
  ["EPROTO", /speaks TLS/],
  ["ECONNRESET", /wants TLS/],
  ["ERR_PROXY_UNREACHABLE", /proxy's URL.*"none"/],
  ["ERR_PROXY_NO_ROUTE", /NO_PROXY/],
  ["ERR_PROXY_CREDENTIALS", /user:password@/],
  ["ERR_PROXY_REFUSED", /administrator/],
  ["ERR_PROXY_PROTOCOL", /scheme and the port/],
  ["ERR_PROXY_TLS", /http:\/\/.*tls\.ca/],
  ["ERR_PROXY_URL", /Set that variable/],
];
for (const [code, advice] of reasons) {
  test(`dialAdvice() of ${code} goes before that of the phase`, () => {
    const reason = connectionReason(Object.assign(new Error("failed"), { code }));
    for (const phase of phases) assert.match(dialAdvice(reason!, phase), advice);
  }, { pure: true });
}
