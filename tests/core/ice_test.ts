import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { chooseIceServers, type IceChoice, type IceEndpoint, parseIceUrl } from "../../lib/core/ice/ice.ts";
import { ICEServerSchema } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import { test } from "../harness.ts";

function show({ scheme, hostname, port, transport }: IceEndpoint): string {
  return `${scheme} ${hostname} ${port} ${transport}`;
}

const urls: readonly [url: string, expected: string | undefined][] = [
  ["stun:a.example", "stun a.example 3478 udp"],
  ["STUN:A.example:1", "stun A.example 1 udp"],
  ["stun:global.stun.twilio.com:3478?transport=udp", "stun global.stun.twilio.com 3478 udp"], // as Rust sends it
  ["turn:a.example", "turn a.example 3478 udp"],
  ["turn:a.example?transport=tcp", "turn a.example 3478 tcp"],
  ["turn:a.example:443?transport=udp", "turn a.example 443 udp"],
  ["turns:a.example", "turns a.example 5349 tcp"],
  ["turns:a.example:443?transport=tcp", "turns a.example 443 tcp"],
  ["turns:a.example?transport=udp", "turns a.example 5349 udp"],
  ["turn:10.0.0.1:3478", "turn 10.0.0.1 3478 udp"],
  ["turn:[2001:db8::1]:3478", "turn 2001:db8::1 3478 udp"],
  ["turn://a.example:3478", "turn a.example 3478 udp"],
  ["turn:a.example?transport=sctp", undefined],
  ["turn:a.example:0", undefined],
  ["turn:user@a.example:3478", undefined],
  ["turn:a example:3478", undefined],
  ["turn:a.example:65536", undefined],
  ["turn:", undefined],
  ["http://a.example", undefined],
  ["a.example:3478", undefined],
  ["turn:user:password@a.example", undefined], // credentials belong into username and credential
];

for (const [url, expected] of urls) {
  test(`parseIceUrl() ${url}`, () => {
    const parsed = parseIceUrl(url);
    assert.equal(parsed === undefined ? undefined : show(parsed), expected);
  }, { pure: true });
}

const SPECIAL = " :@=/?&#%+[]\"'\\<>|^`{}~ü漢\u{1F511}";

test("parseIceUrl() keeps every character of the credentials", () => {
  const parsed = parseIceUrl("turn:a.example", `1764000000:${SPECIAL}`, `a${SPECIAL}==`);
  assert.equal(parsed?.username, `1764000000:${SPECIAL}`);
  assert.equal(parsed?.credential, `a${SPECIAL}==`);
}, { pure: true });

interface Row {
  readonly title: string;
  /** The caller's servers. */
  readonly own?: readonly string[];
  /** The signaling server's list. */
  readonly additional?: readonly string[];
  readonly choice?: Partial<IceChoice>;
  readonly expected: readonly string[];
  readonly relayOnly?: boolean;
  /** The remarks, as patterns. */
  readonly remark?: RegExp;
}

const UDP = "turn:a.example:3478?transport=udp";
const TCP = "turn:a.example:3478?transport=tcp";
const TLS = "turns:a.example:5349?transport=tcp";
const TLS_443 = "turns:b.example:443";

const rows: readonly Row[] = [
  { title: "no server on a private network", expected: [] },
  {
    title: "the defaults on the internet",
    choice: { publicNetwork: true },
    expected: ["stun global.stun.twilio.com 3478 udp", "stun turn.viam.com 443 udp"],
  },
  {
    title: "the caller's list replaces the defaults",
    own: ["stun:a.example"],
    choice: { publicNetwork: true },
    expected: ["stun a.example 3478 udp"],
  },
  {
    title: "the caller's empty list replaces the defaults",
    own: [],
    choice: { publicNetwork: true },
    expected: [],
  },
  {
    title: "the signaling server's list is appended",
    own: ["stun:a.example"],
    additional: [UDP],
    expected: ["stun a.example 3478 udp", "turn a.example 3478 udp"],
  },
  {
    title: "a list with UDP only: the first server is also asked over TCP, as in the TypeScript SDK",
    additional: [UDP, "turn:b.example:443?transport=udp"],
    expected: ["turn a.example 3478 udp", "turn a.example 3478 tcp"],
    remark: /left out 1 of 3/,
  },
  {
    title: "each server once",
    own: ["stun:a.example", "stun:A.example:3478"],
    additional: [UDP, "turn:a.example"],
    expected: ["stun a.example 3478 udp", "turn a.example 3478 udp"],
  },
  {
    title: "URLs that cannot be read are left out, with a remark",
    additional: ["turn:a.example?transport=sctp", UDP],
    expected: ["turn a.example 3478 udp"],
    own: [],
    remark: /left out the ICE server turn:a\.example\?transport=sctp: it is not a stun:, turn: or turns: URL/,
  },
  {
    title: "a password in a URL is not shown",
    own: [],
    additional: ["turn:user:secret@a.example", UDP],
    expected: ["turn a.example 3478 udp"],
    remark: /left out the ICE server …@a\.example: it is no/,
  },
  {
    title: "forceRelay",
    additional: [UDP],
    choice: { forceRelay: true },
    expected: ["turn a.example 3478 udp", "turn a.example 3478 tcp"],
    relayOnly: true,
  },
  {
    title: "forceP2P drops the caller's TURN servers and the whole list of the signaling server",
    own: ["stun:a.example", UDP],
    additional: ["stun:b.example", TCP],
    choice: { forceP2P: true },
    expected: ["stun a.example 3478 udp"],
  },
  {
    title:
      "turnUri keeps the TURN server that is the same in scheme, host, port and transport, and STUN servers",
    own: ["stun:a.example"],
    additional: [UDP, TCP, TLS, "turn:b.example:3478", "turn:a.example:3479"],
    choice: { turnUri: "turn:A.example" },
    expected: ["stun a.example 3478 udp", "turn a.example 3478 udp"],
  },
  {
    title: "turnUri of TURN over TLS",
    additional: [UDP, TCP, TLS],
    choice: { turnUri: "turns:a.example" },
    expected: ["turns a.example 5349 tcp"],
  },
  {
    title: "turnUri of no server in the list",
    additional: [UDP],
    choice: { turnUri: "turn:c.example" },
    expected: [],
    remark: /no TURN server is turn:c\.example/,
  },
  {
    title: "overrides apply after turnUri",
    additional: [UDP, "turn:b.example"],
    choice: { turnUri: UDP, turnScheme: "turns", turnPort: 443, turnTransport: "tcp" },
    expected: ["turns a.example 443 tcp"],
  },
  {
    title: "overrides apply to every TURN server, and to no STUN server",
    own: ["stun:a.example"],
    additional: [UDP, "turn:b.example"],
    choice: { turnPort: 80 },
    expected: ["stun a.example 3478 udp", "turn a.example 80 udp", "turn b.example 80 udp"],
  },
  {
    title: "turnScheme brings the port and transport of the scheme where the URL has none",
    additional: ["turn:a.example"],
    choice: { turnScheme: "turns" },
    expected: ["turns a.example 5349 tcp"],
  },
  {
    title: "turnScheme keeps the port and transport of the URL",
    additional: [TCP],
    choice: { turnScheme: "turns" },
    expected: ["turns a.example 3478 tcp"],
  },
  {
    title: "turnTransport that makes two TURN servers equal",
    additional: [UDP, TCP],
    choice: { turnTransport: "tcp" },
    expected: ["turn a.example 3478 tcp"],
  },
  {
    title: "TURN over DTLS is left out, with a remark",
    own: [],
    additional: [UDP, "turns:a.example?transport=udp"],
    expected: ["turn a.example 3478 udp"],
    remark: /TURN over DTLS is not supported/,
  },
  {
    title: "two TURN servers at most",
    own: [],
    additional: [UDP, "turn:b.example", "turn:c.example"],
    expected: ["turn a.example 3478 udp", "turn b.example 3478 udp"],
    remark: /left out 1 of 3 TURN servers/,
  },
  {
    title: "one over UDP and the one over TCP that firewalls let pass",
    additional: [UDP, "turn:b.example", TCP, TLS, TLS_443],
    expected: ["turn a.example 3478 udp", "turns b.example 443 tcp"],
    remark: /left out 3 of 5 TURN servers/,
  },
  {
    title: "two over TCP where there is none over UDP",
    additional: [TCP, TLS, TLS_443],
    expected: ["turns b.example 443 tcp", "turns a.example 5349 tcp"],
    remark: /left out 1 of 3 TURN servers/,
  },
];

for (const { title, own, additional = [], choice = {}, expected, relayOnly = false, remark } of rows) {
  test(`chooseIceServers() ${title}`, () => {
    const chosen = chooseIceServers({
      iceServers: own?.map((url) => ({ urls: url })),
      additional: additional.map((url) =>
        create(ICEServerSchema, { urls: [url], username: SPECIAL, credential: `secret${SPECIAL}` })
      ),
      publicNetwork: false,
      ...choice,
    });
    assert.deepEqual(chosen.endpoints.map(show), expected);
    assert.equal(chosen.relayOnly, relayOnly);
    if (remark === undefined) assert.deepEqual(chosen.remarks, []);
    else assert.match(chosen.remarks.join("\n"), remark);
    assert.ok(!chosen.remarks.join("\n").includes("secret"));
    for (const { scheme, username, credential } of chosen.endpoints) {
      if (scheme === "stun" || own?.length) continue;
      assert.equal(username, SPECIAL);
      assert.equal(credential, `secret${SPECIAL}`);
    }
  }, { pure: true });
}
