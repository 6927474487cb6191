import assert from "node:assert/strict";
import { inNetwork, isNear, parseIp, parseNetwork } from "../../lib/core/net/ip.ts";
import { test } from "../harness.ts";

test("parseIp() reads IPv4 and IPv6 in every spelling, and nothing else", () => {
  const table: readonly (readonly [text: string, read: string | undefined])[] = [
    ["192.0.2.1", "4 c0000201"],
    ["0.0.0.0", "4 0"],
    ["255.255.255.255", "4 ffffffff"],
    ["::", "6 0"],
    ["::1", "6 1"],
    ["2001:DB8::1", "6 20010db8000000000000000000000001"],
    ["1:2:3:4:5:6:7:8", "6 10002000300040005000600070008"],
    ["1::8", "6 10000000000000000000000000008"],
    ["fe80::1%eth0", "6 fe800000000000000000000000000001"],
    ["::ffff:192.0.2.1", "6 ffffc0000201"],
    ["256.0.2.1", undefined],
    ["192.0.2", undefined],
    ["1:2:3:4:5:6:7", undefined],
    ["1::2::3", undefined],
    ["1:2:3:4:5:6:7::8", undefined],
    ["::12345", undefined],
    ["9b2f.local", undefined],
    ["", undefined],
  ];
  for (const [text, expected] of table) {
    const ip = parseIp(text);
    assert.equal(ip === undefined ? undefined : `${ip.version} ${ip.value.toString(16)}`, expected, text);
  }
}, { pure: true });

test("inNetwork() compares the prefix, and versions never match", () => {
  const table: readonly (readonly [address: string, network: string, inside: boolean])[] = [
    ["172.31.255.255", "172.16.0.0/12", true],
    ["172.32.0.0", "172.16.0.0/12", false],
    ["192.0.2.1", "0.0.0.0/0", true],
    ["192.0.2.1", "192.0.2.1/32", true],
    ["febf::1", "fe80::/10", true],
    ["fec0::1", "fe80::/10", false],
    ["::a00:1", "10.0.0.0/8", false],
  ];
  for (const [address, network, inside] of table) {
    assert.equal(inNetwork(parseIp(address)!, parseNetwork(network)), inside, `${address} in ${network}`);
  }
}, { pure: true });

test("isNear() goes by the subnet, and by the usual one where it is narrower or unknown", () => {
  const table:
    readonly (readonly [address: string, own: string, prefix: number | undefined, near: boolean])[] = [
      ["10.1.200.7", "10.1.2.3", 16, true],
      ["10.1.200.7", "10.1.2.3", undefined, false],
      ["10.1.2.99", "10.1.2.3", undefined, true],
      ["10.1.2.99", "10.1.2.3", 32, true],
      ["2001:db8:0:1::9", "2001:db8:0:1::1", 128, true],
      ["2001:db8:0:2::9", "2001:db8:0:1::1", 64, false],
      ["::a01:263", "10.1.2.3", 24, false],
    ];
  for (const [address, own, prefix, near] of table) {
    assert.equal(
      isNear(parseIp(address)!, { address: own, prefix }),
      near,
      `${address} from ${own}/${prefix}`,
    );
  }
}, { pure: true });
