import assert from "node:assert/strict";
import {
  ComputerChanges,
  describeAddresses,
  describeDefaultRoutes,
} from "../../lib/core/net/computer_changes.ts";
import { test } from "../harness.ts";

const looks: readonly [title: string, now: number, wall: number, network: string, changed: boolean][] = [
  ["a look that comes in time finds nothing", 1_000, 1_000, "a", false],
  ["a program that computed for a second has not slept", 2_900, 2_900, "a", false],
  ["a stopped program looks late", 60_000, 60_000, "a", true],
  ["the clock of timers may stand still during a sleep", 1_000, 60_000, "a", true],
  ["a clock that was set back tells of no sleep", 1_000, -60_000, "a", false],
  ["another address is a change", 1_000, 1_000, "b", true],
];
for (const [title, now, wall, network, changed] of looks) {
  test(`ComputerChanges: ${title}`, () => {
    const changes = new ComputerChanges(0, 0, "a");
    assert.equal(changes.look(now, wall, network), changed);
    assert.equal(changes.look(now + 1_000, wall + 1_000, network), false);
  }, { pure: true });
}

test("describeAddresses() leaves loopback out, and does not depend on order", () => {
  const wifi = { address: "192.168.1.7", internal: false }, lo = { address: "127.0.0.1", internal: true };
  const cable = { address: "10.0.0.2", internal: false };
  assert.equal(
    describeAddresses({ wlan0: [wifi], lo: [lo], eth0: [cable] }),
    "eth0 10.0.0.2, wlan0 192.168.1.7",
  );
  assert.equal(
    describeAddresses({ eth0: [cable], wlan0: [wifi], tun0: undefined }),
    "eth0 10.0.0.2, wlan0 192.168.1.7",
  );
}, { pure: true });

test("describeDefaultRoutes() finds default routes in the table of Linux, and no others", () => {
  // As `cat /proc/net/route` shows it, with a default route, one to a network, and half of the internet.
  const table = [
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
    "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0",
    "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0",
    "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0",
    "",
  ].join("\n");
  assert.equal(describeDefaultRoutes(table), "eth0 via 0101A8C0");
  assert.equal(describeDefaultRoutes(""), "");
}, { pure: true });
