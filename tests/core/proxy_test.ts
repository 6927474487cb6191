import assert from "node:assert/strict";
import {
  chooseProxy,
  describeProxy,
  parseProxy,
  type Proxy,
  type ProxyVariables,
} from "../../lib/core/net/proxy.ts";
import { parseAddress } from "../../lib/core/net/address.ts";
import { targetOf } from "../../lib/core/dial/plan.ts";
import { test } from "../harness.ts";

test("parseProxy() reads a URL, with the port of its scheme, and decodes user and password", () => {
  const table: readonly (readonly [url: string, read: Partial<Proxy>])[] = [
    ["http://proxy.example:3128", { scheme: "http", hostname: "proxy.example", port: 3128 }],
    ["http://proxy.example", { scheme: "http", hostname: "proxy.example", port: 80 }],
    ["HTTPS://proxy.example/", { scheme: "https", hostname: "proxy.example", port: 443 }],
    ["socks5://10.0.0.1", { scheme: "socks5", hostname: "10.0.0.1", port: 1080 }],
    ["socks5h://[fd00::1]:9", { scheme: "socks5h", hostname: "fd00::1", port: 9 }],
    ["proxy.example:3128", { scheme: "http", hostname: "proxy.example", port: 3128 }],
    ["http://me@p:1", { scheme: "http", hostname: "p", port: 1, username: "me", password: "" }],
    ["http://me:@p:1", { scheme: "http", hostname: "p", port: 1, username: "me", password: "" }],
    ["http://m%40e:p%3A%2F%20x@p:1", { username: "m@e", password: "p:/ x" }],
    ["http://me:a:b@c@p:1", { hostname: "p", username: "me", password: "a:b@c" }],
    ["http://me:100%@p:1", { username: "me", password: "100%" }],
    ["http://DOMAIN%5Cme:p@p:1", { username: "DOMAIN\\me" }],
  ];
  for (const [url, expected] of table) {
    const read = parseProxy(url) as Proxy;
    assert.deepEqual({ ...read, ...expected }, read, url);
    assert.ok(!describeProxy(read).includes("@"), url);
  }
  assert.equal(describeProxy(parseProxy("socks5h://me:p@[fd00::1]:9") as Proxy), "socks5h://[fd00::1]:9");
}, { pure: true });

test("parseProxy() refuses what is no proxy, and quotes none of it", () => {
  const table = [
    "ftp://me:s3cret@p:1",
    "socks4://me:s3cret@p:1",
    "http://me:s3cret@p:0",
    "http://me:s3cret@p:1/path",
    "http://me:s3cret@",
    "http://me:s3cret@a b",
    "unix:/s3cret",
    `socks5://me:${"s3cret".repeat(50)}@p`,
    "",
  ];
  for (const url of table) {
    const read = parseProxy(url);
    assert.ok("problem" in read && !read.problem.includes("s3cret"), url);
  }
}, { pure: true });

const BOTH = { HTTP_PROXY: "http://plain:1", HTTPS_PROXY: "http://tls:2" };

// The name that is dialed, the option, the variables, and the host of the proxy, if there is one.
const choices: readonly (readonly [
  address: string,
  setting: string,
  variables: ProxyVariables,
  proxy: string | undefined,
])[] = [
  ["https://a.example", "environment", {}, undefined],
  ["https://a.example", "environment", BOTH, "tls"],
  ["http://a.example", "environment", BOTH, "plain"],
  ["http://a.example", "environment", { https_proxy: "http://tls:2" }, undefined],
  ["https://a.example", "environment", { http_proxy: "http://plain:2" }, undefined],
  ["https://a.example", "environment", { ALL_PROXY: "socks5://all" }, "all"],
  ["http://a.example", "environment", { all_proxy: "socks5://all" }, "all"],
  ["http://a.example", "environment", { ALL_PROXY: "socks5://all", HTTP_PROXY: "one" }, "one"],
  // Small letters win, and an empty variable is none.
  ["https://a.example", "environment", { https_proxy: "small", HTTPS_PROXY: "large" }, "small"],
  ["https://a.example", "environment", { https_proxy: "", HTTPS_PROXY: "large" }, "large"],
  ["https://a.example", "environment", { HTTPS_PROXY: "  ", ALL_PROXY: "all" }, "all"],
  // In a CGI program HTTP_PROXY is a header of its client.
  ["http://a.example", "environment", { HTTP_PROXY: "evil", REQUEST_METHOD: "GET" }, undefined],
  ["http://a.example", "environment", { http_proxy: "good", REQUEST_METHOD: "GET" }, "good"],
  ["https://a.example", "environment", { HTTPS_PROXY: "good", REQUEST_METHOD: "GET" }, "good"],
  // The option.
  ["https://a.example", "none", BOTH, undefined],
  ["https://a.example", "http://me:pw@option:8080", BOTH, "option"],
  ["https://a.example", "http://option:8080", { NO_PROXY: "*" }, "option"],
  // Never through a proxy.
  ...[
    "127.0.0.1",
    "127.9.9.9:80",
    "localhost",
    "a.localhost",
    "[::1]",
    "0.0.0.0",
    "robot.local",
    "ROBOT.local.",
    "169.254.1.2",
    "[fe80::1]",
    "unix:/run/x.sock",
  ].flatMap((address) =>
    [
      [address, "environment", { ...BOTH, ALL_PROXY: "all" }, undefined],
      [address, "http://option:8080", {}, undefined],
    ] as const
  ),
  ["local.example", "environment", BOTH, "tls"],
  ["127.evil.example", "environment", BOTH, "tls"],
  ["169.254.evil.example", "http://option:8080", {}, "option"],
  ["192.168.1.2", "environment", BOTH, "tls"],
  // NO_PROXY.
  ...([
    ["*", "a.example", false],
    ["x, * ,y", "a.example", false],
    ["a.example", "a.example", false],
    ["a.example", "A.Example.", false],
    ["a.example", "b.a.example", false],
    ["a.example", "ba.example", true],
    ["a.example", "example", true],
    [".a.example", "a.example", false],
    [".a.example", "b.a.example", false],
    ["*.a.example", "b.a.example", false],
    ["b.example,a.example", "a.example", false],
    ["b.example a.example", "a.example", false],
    ["a.example:443", "a.example", false],
    ["a.example:8080", "a.example", true],
    ["a.example:8080", "a.example:8080", false],
    ["10.1.2.3", "10.1.2.3", false],
    ["10.1.2.3", "10.1.2.33", true],
    ["2.3", "10.1.2.3", true],
    ["10.1.2.3:443", "10.1.2.3:8443", true],
    ["10.0.0.0/8", "10.1.2.3", false],
    ["10.0.0.0/8", "11.1.2.3", true],
    ["10.0.0.0/8", "ten.example", true],
    ["10.0.0.0/99", "10.1.2.3", true],
    ["0.0.0.0/0", "10.1.2.3", false],
    ["fd00::/8", "[fd00::1]", false],
    ["[fd00::]/8", "[fd00::1]", false],
    ["fd00::1", "[fd00:0:0::1]", false],
    ["[fd00::1]", "[fd00::1]", false],
    ["[fd00::1]:443", "[fd00::1]", false],
    ["[fd00::1]:80", "[fd00::1]", true],
    ["", "a.example", true],
    [",", "a.example", true],
    [".", "a.example", true],
  ] as const).map(([NO_PROXY, address, proxied]) =>
    [address, "environment", { ...BOTH, NO_PROXY }, proxied ? "tls" : undefined] as const
  ),
  ["a.example", "environment", { ...BOTH, no_proxy: "b.example", NO_PROXY: "a.example" }, "tls"],
  ["a.example", "environment", { ...BOTH, no_proxy: "", NO_PROXY: "a.example" }, undefined],
];

test("chooseProxy() reads the option and the environment as curl and Go do", () => {
  for (const [address, setting, variables, expected] of choices) {
    const parsed = parseAddress(address);
    assert.ok(!("problem" in parsed), address);
    const chosen = chooseProxy(targetOf(parsed, false), setting, variables);
    const name = chosen === undefined || "problem" in chosen.proxy ? undefined : chosen.proxy.hostname;
    assert.equal(name, expected, `${address} ${setting} ${JSON.stringify(variables)}`);
  }
}, { pure: true });

test("chooseProxy() names what names a proxy that cannot be used, for the targets that need it alone", () => {
  const variables = { ALL_PROXY: "socks4://me:s3cret@p" };
  const target = { hostname: "a.example", port: 443, secure: true };
  const chosen = chooseProxy(target, "environment", variables);
  assert.equal(chosen?.namedBy, "ALL_PROXY");
  assert.ok("problem" in chosen.proxy);
  assert.ok(!JSON.stringify(chosen).includes("s3cret"));
  assert.equal(chooseProxy({ ...target, hostname: "localhost" }, "environment", variables), undefined);
}, { pure: true });
