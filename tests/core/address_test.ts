import assert from "node:assert/strict";
import {
  isLocalName,
  isLoopback,
  isOpenToOthers,
  isPrivate,
  parseAddress,
} from "../../lib/core/net/address.ts";
import { test } from "../harness.ts";

const good: readonly [
  typed: string,
  authority: string,
  hostname: string,
  port: number | undefined,
  scheme: string | undefined,
][] = [
  ["robot.example", "robot.example", "robot.example", undefined, undefined],
  ["robot.example:8080", "robot.example:8080", "robot.example", 8080, undefined],
  [
    "robot-main.abcdef.viam.cloud",
    "robot-main.abcdef.viam.cloud",
    "robot-main.abcdef.viam.cloud",
    undefined,
    undefined,
  ],
  ["127.0.0.1:1", "127.0.0.1:1", "127.0.0.1", 1, undefined],
  ["[::1]:65535", "[::1]:65535", "::1", 65535, undefined],
  ["[fe80::1]", "[fe80::1]", "fe80::1", undefined, undefined],
  ["http://localhost:80", "localhost:80", "localhost", 80, "http"],
  ["https://app.viam.com", "app.viam.com", "app.viam.com", undefined, "https"],
  ["https://app.viam.com/", "app.viam.com", "app.viam.com", undefined, "https"],
  ["HTTPS://App.Viam.com:443/", "App.Viam.com:443", "App.Viam.com", 443, "https"],
  ["my_robot", "my_robot", "my_robot", undefined, undefined],
];
for (const [typed, authority, hostname, port, scheme] of good) {
  test(`parseAddress() reads ${typed}`, () => {
    assert.deepEqual(parseAddress(typed), { authority, hostname, port, scheme, unixPath: undefined });
  }, { pure: true });
}

test("parseAddress() reads Unix sockets", () => {
  for (const typed of ["unix:/run/viam.sock", "unix:///run/viam.sock", "/run/viam.sock"]) {
    const address = parseAddress(typed);
    assert.ok(!("problem" in address));
    assert.equal(address.unixPath, "/run/viam.sock");
  }
}, { pure: true });

const bad = [
  "",
  "  ",
  " robot",
  "a b",
  "robot:0",
  "robot:65536",
  "robot:99999",
  "robot:",
  "robot:8o",
  "robot:-1",
  ":8080",
  "http://",
  "http://:80",
  "ftp://robot",
  "robot/path",
  "http://robot/path",
  "http://robot?query",
  "http://user:password@robot",
  "::1",
  "fe80::1:8080",
  "[::1",
  "::1]",
  "[]",
  "[zz]:1",
  "256.1.1.1",
  "1.2.3",
  "a..b",
  "-robot",
  "unix:relative",
  "unix:",
  "röbot",
  `${"a".repeat(64)}.example`,
];
for (const typed of bad) {
  test(`parseAddress() refuses ${JSON.stringify(typed)}`, () => {
    const address = parseAddress(typed);
    assert.ok("problem" in address && address.problem.length > 0);
  }, { pure: true });
}

test("isLocalName() compares labels, where Python's engine searches the text", () => {
  for (const name of ["localhost", "LOCALHOST", "robot.local", "robot.local.viam.cloud", "a.localhost"]) {
    assert.equal(isLocalName(name), true, name);
  }
  for (
    const name of ["127.0.0.1", "robot.viam.cloud", "local.example", "mylocalhost.example", "locals.example"]
  ) {
    assert.equal(isLocalName(name), false, name);
  }
}, { pure: true });

test(
  "isLoopback(), isOpenToOthers() and isPrivate() go by what the system takes for an address, not by its looks",
  () => {
    const here = { isLoopback: true, isOpenToOthers: false, isPrivate: true };
    const everywhere = { isLoopback: true, isOpenToOthers: true, isPrivate: true };
    const nearby = { isLoopback: false, isOpenToOthers: true, isPrivate: true };
    const elsewhere = { isLoopback: false, isOpenToOthers: true, isPrivate: false };
    const table: readonly (readonly [expected: typeof here, hosts: readonly string[]])[] = [
      [here, ["localhost", "LOCALHOST.", "a.localhost", "a.b.localhost."]],
      [here, ["127.0.0.1", "127.255.255.254", "127.0.0.1.", "127.1", "0x7f.1", "0X7F000001", "2130706433"]],
      [here, ["::1", "0:0:0:0:0:0:0:1", "::0001", "::1%lo", "::ffff:127.0.0.1", "::FFFF:7f00:1"]],
      [everywhere, ["0.0.0.0", "0", "0x0", "::", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"]],
      [nearby, ["10.1.2.3", "172.16.0.1", "172.31.255.1", "192.168.0.1", "169.254.1.2", "::ffff:10.0.0.1"]],
      [nearby, ["10.1", "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "febf::1", "x.local", "x.LOCAL."]],
      [elsewhere, ["127.evil.example", "127.0.0.1.example", "127.0.0.example", "1270.0.0.1", "x127.0.0.1"]],
      [elsewhere, ["localhost.example", "notlocalhost", "local", "0.example", "0x7f.example", "::1.example"]],
      [elsewhere, ["128.0.0.1", "126.255.255.255", "0.0.0.1", "::2", "::ffff:128.0.0.1", "::127.0.0.1"]],
      [elsewhere, ["0x", "127.0x", "0x.0x", "127.08", "127.0.0.08", "127.0.0.0.1", "127..1", "127.256.0.1"]],
      [elsewhere, ["10.example", "192.168.example", "169.254.example", "172.16.example", "fd.example"]],
      [elsewhere, ["172.32.0.1", "8.8.8.8", "app.viam.com", "2001:db8::1", "100.64.0.1", "fec0::1", ""]],
    ];
    for (const [expected, hosts] of table) {
      for (const host of hosts) {
        const judged = {
          isLoopback: isLoopback(host),
          isOpenToOthers: isOpenToOthers(host),
          isPrivate: isPrivate(host),
        };
        assert.deepEqual(judged, expected, host);
      }
    }
  },
  { pure: true },
);
