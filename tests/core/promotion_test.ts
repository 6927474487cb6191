import assert from "node:assert/strict";
import type { CandidateType } from "../../lib/core/ice/candidate.ts";
import { promotionOf } from "../../lib/core/ice/promotion.ts";
import { test } from "../harness.ts";

test("promotionOf() promotes direct pairs at once, and relayed ones when a direct one had its time", () => {
  const end = (type: CandidateType) => ({
    address: "192.0.2.7",
    port: 50_000,
    type,
    protocol: "udp" as const,
  });
  const candidate = (type: string) => ({
    kind: "candidate",
    line: `candidate:promoted 1 UDP 2147483647 192.0.2.7 50000 typ ${type}`,
  });
  const throughRelay = { kind: "throughRelay" };
  const table: readonly (readonly [
    local: CandidateType,
    remote: CandidateType,
    forMs: number,
    relayOnly: boolean,
    expected: object | undefined,
  ])[] = [
    ["host", "host", 0, false, candidate("host")],
    ["host", "srflx", 0, false, candidate("srflx")],
    ["host", "prflx", 0, false, candidate("srflx")],
    ["srflx", "host", 0, false, candidate("host")],
    ["prflx", "srflx", 0, false, candidate("srflx")],
    // A direct pair that works later would be lost for good.
    ["host", "relay", 0, false, undefined],
    ["host", "relay", 499, false, undefined],
    ["host", "relay", 500, false, candidate("srflx")],
    ["prflx", "relay", 500, false, candidate("srflx")],
    // A direct pair that works later replaces it.
    ["relay", "host", 49, false, undefined],
    ["relay", "host", 50, false, throughRelay],
    ["relay", "relay", 50, false, throughRelay],
    ["relay", "host", 0, true, throughRelay],
  ];
  for (const [local, remote, forMs, relayOnly, expected] of table) {
    assert.deepEqual(
      promotionOf({ pair: { local: end(local), remote: end(remote) }, forMs, relayOnly }),
      expected,
      `${local} to ${remote} after ${forMs} ms`,
    );
  }
}, { pure: true });
