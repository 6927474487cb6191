import assert from "node:assert/strict";
import { type NamedIceServer, sameServers, usableUntil } from "../../lib/core/ice/config_life.ts";
import { test } from "../harness.ts";

/** Seconds since 1970, and milliseconds. */
const NOW_S = 1_700_000_000, NOW = NOW_S * 1_000;
const STUN: NamedIceServer = { urls: ["stun:a.example"], username: "", credential: "" };
const turn = (username: string): NamedIceServer => ({
  urls: ["turn:a.example"],
  username,
  credential: "a secret",
});

const rows: readonly (readonly [title: string, servers: readonly NamedIceServer[], leftMs: number])[] = [
  ["no server", [], 86_400_000],
  ["a STUN server", [STUN], 86_400_000],
  ["credentials that last longer", [STUN, turn(`${NOW_S + 172_800}:user`)], 86_400_000],
  ["credentials that expire sooner", [turn(`${NOW_S + 200}:user`), turn(`${NOW_S + 9_000}`)], 140_000],
  ["credentials that are about to expire", [turn(`${NOW_S + 59}:user`)], 0],
  ["credentials that have expired", [turn(`${NOW_S - 1}:user`)], 0],
  ["credentials that do not say when they expire", [STUN, turn("user")], 0],
];

for (const [title, servers, leftMs] of rows) {
  test(`usableUntil() for ${title} is ${leftMs} ms from now`, () => {
    assert.equal(usableUntil(servers, NOW) - NOW, leftMs);
  }, { pure: true });
}

test("sameServers() compares the URLs, in their order, and no credentials", () => {
  assert.ok(sameServers([], []));
  assert.ok(sameServers([STUN, turn("1:a")], [STUN, turn("2:b")]));
  assert.ok(!sameServers([STUN], []));
  assert.ok(!sameServers([STUN, turn("1:a")], [turn("1:a"), STUN]));
}, { pure: true });
