import assert from "node:assert/strict";
import { describeCandidate, hiddenName, withAddress } from "../../lib/core/ice/session_description.ts";
import { test } from "../harness.ts";

test("describeCandidate() has type, transport and place, and leaves alone what it cannot read", () => {
  const table: readonly (readonly [candidate: string, described: string])[] = [
    ["candidate:1 1 UDP 2114977791 192.0.2.1 50000 typ host", "host udp 192.0.2.1:50000"],
    ["candidate:2 1 udp 1 2001:db8::1 9 typ srflx raddr 0.0.0.0 rport 0", "srflx udp [2001:db8::1]:9"],
    ["candidate:3 1 tcp 1 192.0.2.1 9 typ host tcptype active", "host tcp 192.0.2.1:9"],
    ["candidate:4 1 udp 1 9b2f.local 5353 typ host", "host udp 9b2f.local:5353"],
    ["end-of-candidates", "end-of-candidates"],
    ["", ""],
  ];
  for (const [candidate, described] of table) assert.equal(describeCandidate(candidate), described);
}, { pure: true });

test("hiddenName() finds the name of a host candidate, and withAddress() puts an address there", () => {
  const table: readonly (readonly [candidate: string, name: string | undefined])[] = [
    ["candidate:4 1 udp 1 9b2f-0c.local 5353 typ host", "9b2f-0c.local"],
    ["candidate:4 1 UDP 1 9B2F.LOCAL 5353 typ host generation 0", "9B2F.LOCAL"],
    ["candidate:1 1 udp 1 192.0.2.1 50000 typ host", undefined],
    ["candidate:1 1 udp 1 fe80::1 50000 typ host", undefined],
    // Two labels, and another kind: neither is how addresses are hidden.
    ["candidate:1 1 udp 1 a.b.local 50000 typ host", undefined],
    ["candidate:2 1 udp 1 9b2f.local 9 typ srflx raddr 0.0.0.0 rport 0", undefined],
    ["", undefined],
  ];
  for (const [candidate, name] of table) {
    assert.equal(hiddenName(candidate), name);
    if (name === undefined) continue;
    assert.equal(describeCandidate(withAddress(candidate, name, "192.0.2.7")), "host udp 192.0.2.7:5353");
  }
}, { pure: true });
