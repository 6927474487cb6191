import assert from "node:assert/strict";
import {
  addressIn,
  advertisedRecords,
  answersTo,
  type DnsRecord,
  instanceNames,
  type LookupStep,
  MdnsLookup,
  questionsFor,
} from "../../lib/core/net/mdns_records.ts";
import { test } from "../harness.ts";

const SERVICE = "_rpc._tcp.local";
const texts = (...words: string[]) => words.map((word) => new TextEncoder().encode(word));

const ptr = (name: string): DnsRecord => ({
  type: "PTR",
  name: SERVICE,
  ttl: 120,
  data: `${name}.${SERVICE}`,
});
const srv = (name: string, target = "pi.local", port = 8080, ttl = 120): DnsRecord => ({
  type: "SRV",
  name: `${name}.${SERVICE}`,
  ttl,
  data: { port, target, priority: 0, weight: 0 },
});
const txt = (name: string, ...words: string[]): DnsRecord => ({
  type: "TXT",
  name: `${name}.${SERVICE}`,
  ttl: 120,
  data: texts(...words),
});
const a = (name: string, data: string, ttl = 120): DnsRecord => ({ type: "A", name, ttl, data });

test("instanceNames() are the name as dialed and with dashes for dots", () => {
  assert.deepEqual(instanceNames("Robot.abc.viam.cloud"), ["robot.abc.viam.cloud", "robot-abc-viam-cloud"]);
  assert.deepEqual(instanceNames("robot.local."), ["robot.local", "robot-local"]);
  assert.deepEqual(instanceNames("robot"), ["robot"]);
}, { pure: true });

test("questionsFor() asks for the service and for both spellings of the name", () => {
  assert.deepEqual(questionsFor("a.b").map(({ type, name }) => `${type} ${name}`), [
    "PTR _rpc._tcp.local",
    "SRV a.b._rpc._tcp.local",
    "TXT a.b._rpc._tcp.local",
    "SRV a-b._rpc._tcp.local",
    "TXT a-b._rpc._tcp.local",
  ]);
}, { pure: true });

const found = (address: string, webrtc = true, port = 8080): LookupStep => ({
  kind: "found",
  machine: { address, port, webrtc },
});
const NOTHING: LookupStep = { kind: "nothing" };

const lookups: readonly [
  title: string,
  answers: readonly (readonly DnsRecord[])[],
  last: LookupStep,
  from?: string,
][] = [
  [
    "finds a machine by its name with dots",
    [[ptr("a.b"), srv("a.b"), txt("a.b", "grpc", "webrtc"), a("pi.local", "10.0.0.2")]],
    found("10.0.0.2"),
  ],
  [
    "finds a machine by its name with dashes",
    [[srv("a-b"), txt("a-b", "grpc"), a("pi.local", "10.0.0.2")]],
    found("10.0.0.2", false),
  ],
  [
    "compares names in any letter case, with or without the last dot",
    [[
      srv("A.B", "PI.local."),
      { ...txt("A.b", "grpc"), name: "A.b._rpc._TCP.Local." },
      a("pi.LOCAL", "10.0.0.2"),
    ]],
    found("10.0.0.2", false),
  ],
  [
    "prefers the address that the answer came from",
    [[srv("a.b"), txt("a.b", "webrtc"), a("pi.local", "172.17.0.1"), a("pi.local", "10.0.0.2")]],
    found("10.0.0.2"),
    "10.0.0.2",
  ],
  [
    "takes the first of several addresses otherwise",
    [[srv("a.b"), txt("a.b", "grpc"), a("pi.local", "172.17.0.1"), a("pi.local", "10.0.0.2")]],
    found("172.17.0.1", false),
    "10.0.0.9",
  ],
  [
    "combines several answers",
    [[a("pi.local", "10.0.0.2")], [txt("a.b", "grpc")], [srv("a.b")]],
    found("10.0.0.2", false),
  ],
  [
    "asks for a missing address",
    [[srv("a.b"), txt("a.b", "grpc")]],
    { kind: "ask", questions: [{ type: "A", name: "pi.local" }] },
  ],
  [
    "asks for a missing TXT record",
    [[srv("a.b"), a("pi.local", "10.0.0.2")]],
    { kind: "ask", questions: [{ type: "TXT", name: `a.b.${SERVICE}` }] },
  ],
  ["asks once", [[srv("a.b"), txt("a.b", "grpc")], [ptr("a.b")]], NOTHING],
  [
    "ignores other machines, whether their names are longer, shorter or similar",
    ["b", "x.a.b", "a.b.c", "a.bc", "xa.b", "a", "a--b"].map((name) => [
      ptr(name),
      srv(name),
      txt(name, "grpc", "webrtc"),
      a("pi.local", "10.0.0.2"),
    ]),
    NOTHING,
  ],
  [
    "ignores other services",
    [[{ ...srv("a.b"), name: "a.b._http._tcp.local" }, {
      ...txt("a.b", "grpc"),
      name: "a.b._http._tcp.local",
    }]],
    NOTHING,
  ],
  [
    "ignores an instance with neither grpc nor webrtc",
    [[srv("a.b"), txt("a.b", "printer"), a("pi.local", "10.0.0.2")]],
    NOTHING,
  ],
  [
    "ignores a machine that said goodbye",
    [[srv("a.b", "pi.local", 8080, 0), txt("a.b", "grpc"), a("pi.local", "10.0.0.2", 0)]],
    { kind: "ask", questions: [{ type: "SRV", name: `a.b.${SERVICE}` }] },
  ],
  [
    "takes the later of two ports",
    [[srv("a.b", "pi.local", 1)], [srv("a.b", "pi.local", 2), txt("a.b", "grpc"), a("pi.local", "10.0.0.2")]],
    found("10.0.0.2", false, 2),
  ],
  [
    "ignores malformed records",
    [[
      { type: "SRV", name: `a.b.${SERVICE}`, data: "nonsense" },
      { type: "SRV", name: `a.b.${SERVICE}` },
      { type: "TXT", name: `a.b.${SERVICE}`, data: { no: 1 } },
      { type: "A", name: "pi.local", data: 7 },
    ]],
    { kind: "ask", questions: [{ type: "SRV", name: `a.b.${SERVICE}` }] },
  ],
];

for (const [title, answers, last, from = "10.0.0.7"] of lookups) {
  test(`MdnsLookup ${title}`, () => {
    const lookup = new MdnsLookup("a.b");
    let step: LookupStep | undefined;
    for (const answer of answers) step = lookup.receive(answer, from);
    assert.deepEqual(step, last);
  }, { pure: true });
}

const RECORDS = advertisedRecords({ names: ["a.b", "c"], port: 8080, webrtc: true, address: "10.0.0.2" });

test("advertisedRecords() has four records for each name, with dots and with dashes", () => {
  assert.deepEqual(
    RECORDS.map(({ type, name }) => `${type} ${name}`),
    ["a.b", "a-b", "c"].flatMap((name) => [
      "PTR _rpc._tcp.local",
      `SRV ${name}._rpc._tcp.local`,
      `TXT ${name}._rpc._tcp.local`,
      `A ${name}.local`,
    ]),
  );
  assert.ok(RECORDS.every(({ ttl }) => ttl === 3_200));
  const goodbye = advertisedRecords({ names: ["c"], port: 1, webrtc: false, address: "10.0.0.2" }, {
    goodbye: true,
  });
  assert.ok(goodbye.every(({ ttl }) => ttl === 0));
  assert.deepEqual(goodbye[2]!.data, ["grpc"]);
}, { pure: true });

const answered: readonly [
  questions: { type: string; name: string }[],
  answers: number,
  additionals: number,
][] = [
  [[{ type: "PTR", name: SERVICE }], 3, 9],
  [[{ type: "SRV", name: `A.b.${SERVICE}` }], 1, 2],
  [[{ type: "TXT", name: `a-b.${SERVICE}` }], 1, 2],
  [[{ type: "A", name: "c.local" }], 1, 0],
  [[{ type: "ANY", name: `c.${SERVICE}` }], 2, 1],
  [[{ type: "A", name: "d.local" }], 0, 0],
  [[{ type: "PTR", name: "_http._tcp.local" }], 0, 0],
];

for (const [questions, answers, additionals] of answered) {
  test(`answersTo() ${questions.map(({ type, name }) => `${type} ${name}`)}`, () => {
    const answer = answersTo(questions, RECORDS);
    assert.deepEqual([answer.answers.length, answer.additionals.length], [answers, additionals]);
  }, { pure: true });
}

test("MdnsLookup finds a machine of advertisedRecords() by either name", () => {
  for (const host of ["a.b", "a-b", "A.B", "c"]) {
    const { answers, additionals } = answersTo(questionsFor(host), RECORDS);
    const step = new MdnsLookup(host).receive([...answers, ...additionals], "10.0.0.2");
    assert.deepEqual(step, found("10.0.0.2"));
  }
}, { pure: true });

test("addressIn() takes the address of exactly that name, in any letter case, and ignores goodbyes", () => {
  const record = (name: string, data: unknown, ttl = 120, type = "A") => ({ type, name, ttl, data });
  const table: readonly (readonly [records: ReturnType<typeof record>[], address: string | undefined])[] = [
    [[record("x.local", "10.0.0.2")], "10.0.0.2"],
    [[record("other.local", "10.0.0.1"), record("X.local.", "10.0.0.2")], "10.0.0.2"],
    [[record("x.local", "10.0.0.2", 0)], undefined],
    [[record("x.local", "fe80::1", 120, "AAAA")], undefined],
    [[record("x.local", { host: "10.0.0.2" })], undefined],
    [[], undefined],
  ];
  for (const [records, address] of table) assert.equal(addressIn(records, "x.local"), address);
}, { pure: true });
