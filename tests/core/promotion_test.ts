import assert from "node:assert/strict";
import type { CandidateType } from "../../lib/core/ice/candidate.ts";
import { promotedCandidate } from "../../lib/core/ice/promotion.ts";
import { test } from "../harness.ts";

test("promotedCandidate() writes the machine's end of a direct pair with the highest priority", () => {
  const end = (type: CandidateType) => ({
    address: "192.0.2.7",
    port: 50_000,
    type,
    protocol: "udp" as const,
  });
  const promoted = (type: string) => `candidate:promoted 1 UDP 2147483647 192.0.2.7 50000 typ ${type}`;
  const table: readonly (readonly [local: CandidateType, remote: CandidateType, line: string | undefined])[] =
    [
      ["host", "host", promoted("host")],
      ["host", "srflx", promoted("srflx")],
      ["host", "prflx", promoted("srflx")],
      ["srflx", "host", promoted("host")],
      ["prflx", "srflx", promoted("srflx")],
      // A direct pair that works later would be lost for good.
      ["host", "relay", undefined],
      ["relay", "host", undefined],
      ["relay", "relay", undefined],
    ];
  for (const [local, remote, line] of table) {
    assert.equal(
      promotedCandidate({ local: end(local), remote: end(remote) }),
      line,
      `${local} to ${remote}`,
    );
  }
}, { pure: true });
