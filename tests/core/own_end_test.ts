import assert from "node:assert/strict";
import type { Candidate, CandidateType } from "../../lib/core/ice/candidate.ts";
import { ownEnd } from "../../lib/core/ice/own_end.ts";
import { test } from "../harness.ts";

const at = (address: string, type: CandidateType = "host"): Candidate => ({
  address,
  port: address.includes(":") || type === "host" ? 5000 : 6000,
  type,
  protocol: "udp",
});

test("ownEnd() corrects the end that the engine reports for IPv4, or leaves it out", () => {
  const V6 = "2001:db8::5", LAN = "192.168.1.5", BRIDGE = "172.17.0.1";
  const table:
    readonly (readonly [reported: string, remote: string, own: string[], end: string | undefined])[] = [
      [V6, "2001:db8::9", [V6, LAN], V6],
      [LAN, "2001:db8::9", [LAN], undefined],
      [LAN, "192.168.1.9", [LAN], LAN],
      [V6, "192.168.1.9", [V6, LAN], LAN],
      // The nearest of several.
      [BRIDGE, "192.168.1.9", [BRIDGE, LAN], LAN],
      [V6, "192.168.1.9", [V6, BRIDGE, LAN], LAN],
      // This computer itself.
      [BRIDGE, LAN, [BRIDGE, LAN], LAN],
      [V6, "192.168.1.6", [V6, "192.168.1.6", LAN], "192.168.1.6"],
      [V6, "127.0.0.1", [V6, LAN], "127.0.0.1"],
      [V6, "::1", [V6, LAN], V6],
      // None of several is nearer.
      [BRIDGE, "203.0.113.1", [BRIDGE, LAN], undefined],
      [V6, "192.168.1.9", [V6, "192.168.1.6", LAN], undefined],
      [V6, "192.168.1.9", [V6], undefined],
    ];
  for (const [reported, remote, own, end] of table) {
    const found = ownEnd(
      { local: at(reported), remote: at(remote, "prflx") },
      own.map((address) => at(address)),
    );
    assert.equal(found?.address, end, `${reported} to ${remote}, of ${own}`);
    assert.equal(found?.port ?? 5000, 5000);
  }
}, { pure: true });

test("ownEnd() keeps an end that is not a host candidate", () => {
  const relay = at("203.0.113.7", "relay");
  assert.equal(ownEnd({ local: relay, remote: at("192.168.1.9") }, [at("10.0.0.1"), relay]), relay);
}, { pure: true });
