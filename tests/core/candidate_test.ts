import assert from "node:assert/strict";
import {
  describeCandidate,
  hiddenName,
  isLocalPair,
  parseCandidate,
  withAddress,
} from "../../lib/core/ice/candidate.ts";
import { test } from "../harness.ts";

/** Parses a candidate and formats it again. */
function described(line: string): string | undefined {
  const candidate = parseCandidate(line);
  return candidate === undefined ? undefined : describeCandidate(candidate);
}

test("parseCandidate() reads type, transport and address, and nothing else", () => {
  const table: readonly (readonly [line: string, described: string | undefined])[] = [
    ["candidate:1 1 UDP 2114977791 192.0.2.1 50000 typ host", "host udp 192.0.2.1:50000"],
    ["candidate:2 1 udp 1 2001:db8::1 9 typ srflx raddr 0.0.0.0 rport 0", "srflx udp [2001:db8::1]:9"],
    ["candidate:3 1 tcp 1 192.0.2.1 9 typ host tcptype active", "host tcp 192.0.2.1:9"],
    ["candidate:4 1 udp 1 9b2f.local 5353 typ host", "host udp 9b2f.local:5353"],
    ["candidate:5 1 udp 1 192.0.2.1 9 typ RELAY raddr 0.0.0.0 rport 0", "relay udp 192.0.2.1:9"],
    ["candidate:6 1 sctp 1 192.0.2.1 9 typ host", undefined],
    ["candidate:7 1 udp 1 192.0.2.1 9 typ other", undefined],
    ["end-of-candidates", undefined],
    ["", undefined],
  ];
  for (const [line, expected] of table) assert.equal(described(line), expected);
}, { pure: true });

test("hiddenName() finds the name of a host candidate, and withAddress() replaces it by an address", () => {
  const table: readonly (readonly [candidate: string, name: string | undefined])[] = [
    ["candidate:4 1 udp 1 9b2f-0c.local 5353 typ host", "9b2f-0c.local"],
    ["candidate:4 1 UDP 1 9B2F.LOCAL 5353 typ host generation 0", "9B2F.LOCAL"],
    ["candidate:1 1 udp 1 192.0.2.1 50000 typ host", undefined],
    ["candidate:1 1 udp 1 fe80::1 50000 typ host", undefined],
    // Neither a name of two labels nor another type of candidate hides an address.
    ["candidate:1 1 udp 1 a.b.local 50000 typ host", undefined],
    ["candidate:2 1 udp 1 9b2f.local 9 typ srflx raddr 0.0.0.0 rport 0", undefined],
    ["", undefined],
  ];
  for (const [candidate, name] of table) {
    assert.equal(hiddenName(candidate), name);
    if (name === undefined) continue;
    assert.equal(described(withAddress(candidate, name, "192.0.2.7")), "host udp 192.0.2.7:5353");
  }
}, { pure: true });

test("isLocalPair(): a loopback address, or the same one at both ends", () => {
  const at = (address: string) => ({ address, port: 5000, type: "host", protocol: "udp" }) as const;
  const table: [local: string, remote: string, isLocal: boolean][] = [
    ["127.0.0.1", "127.0.0.1", true],
    ["192.168.1.5", "127.0.0.1", true],
    ["192.168.1.5", "192.168.1.5", true],
    ["::1", "::1", true],
    ["192.168.1.5", "192.168.1.6", false],
    ["127.0.0.1", "192.168.1.6", false],
  ];
  for (const [local, remote, isLocal] of table) {
    assert.equal(isLocalPair({ local: at(local), remote: at(remote) }), isLocal, `${local} ${remote}`);
  }
}, { pure: true });
