import assert from "node:assert/strict";
import { type Connecting, connectRoundTrips, describeRoundTrips } from "../../lib/core/dial/round_trips.ts";
import type { DialPhase, TimelineEntry } from "../../lib/core/dial/timeline.ts";
import { test } from "../harness.ts";

const proxy = { hostname: "proxy.example", port: 3128 } as const;

const ROWS: readonly (readonly [title: string, connecting: Connecting, roundTrips: number])[] = [
  ["plaintext", { secure: false }, 2],
  ["TLS", { secure: true }, 3],
  ["a Unix socket", { secure: false, unixPath: "/tmp/a" }, 1],
  ["TLS through an HTTP proxy", { secure: true, proxy: { ...proxy, scheme: "http" } }, 4],
  ["TLS through an HTTPS proxy", { secure: true, proxy: { ...proxy, scheme: "https" } }, 5],
  ["TLS through SOCKS5", { secure: true, proxy: { ...proxy, scheme: "socks5" } }, 5],
  ["TLS through SOCKS5 with a password", {
    secure: true,
    proxy: { ...proxy, scheme: "socks5h", username: "a", password: "b" },
  }, 6],
];

for (const [title, connecting, roundTrips] of ROWS) {
  test(`connectRoundTrips() for ${title} is ${roundTrips}`, () => {
    assert.equal(connectRoundTrips(connecting), roundTrips);
  }, { pure: true });
}

test("describeRoundTrips() adds up the round trips of each phase", () => {
  const entry = (phase: DialPhase, roundTrips?: number): TimelineEntry => ({
    phase,
    atMs: 0,
    detail: "",
    ok: true,
    ...roundTrips === undefined ? {} : { roundTrips },
  });
  const entries = [entry("connect", 3), entry("engine"), entry("signaling", 1), entry("signaling", 1)];
  assert.equal(describeRoundTrips(entries), "5 round trips: connect 3, signaling 2");
  assert.equal(describeRoundTrips([entry("engine")]), "");
}, { pure: true });
