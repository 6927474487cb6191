import assert from "node:assert/strict";
import {
  CandidateSchedule,
  type Reachability,
  reachability,
  type Surroundings,
} from "../../lib/core/ice/candidate_schedule.ts";
import { test } from "../harness.ts";

/** A laptop on a home network, with containers, an overlay, a VPN, and IPv6. */
const laptop: Surroundings = {
  own: [
    { address: "127.0.0.1", prefix: 8 },
    { address: "192.168.1.5", prefix: 24 },
    { address: "172.17.0.1", prefix: 16 },
    { address: "100.101.102.103", prefix: 32 },
    { address: "10.8.0.2", prefix: 32 },
    { address: "fe80::5", prefix: 64 },
    { address: "2001:db8:1::5", prefix: 64 },
  ],
  signalingHost: "app.example.com",
};

/** A computer with one address, dialing a machine on a network behind a router. */
const desk: Surroundings = {
  own: [{ address: "127.0.0.1", prefix: 8 }, { address: "10.78.0.1", prefix: 24 }],
  signalingHost: "10.99.0.2",
};

test("reachability() judges an address by this computer's own", () => {
  const table: readonly (readonly [from: Surroundings, address: string, judged: Reachability])[] = [
    [laptop, "127.0.0.1", "here"],
    [laptop, "::1", "here"],
    [laptop, "192.168.1.5", "here"],
    [laptop, "2001:DB8:1:0::5", "here"],
    // Both ends have the container bridge.
    [laptop, "172.17.0.1", "here"],
    [laptop, "172.17.0.2", "likely"],
    [laptop, "192.168.1.77", "likely"],
    [laptop, "203.0.113.9", "likely"],
    // An overlay hands out addresses one by one; a VPN, by the usual subnet.
    [laptop, "100.64.9.9", "likely"],
    [laptop, "10.8.0.77", "likely"],
    [laptop, "2001:db8:9::9", "likely"],
    [laptop, "robot.example.com", "likely"],
    [laptop, "192.168.2.77", "unlikely"],
    [laptop, "172.18.0.1", "unlikely"],
    [laptop, "10.9.0.77", "unlikely"],
    [laptop, "169.254.3.4", "unlikely"],
    [laptop, "fe80::77", "unlikely"],
    [laptop, "fd00::77", "unlikely"],
    // The signaling server has been reached there.
    [desk, "10.99.0.2", "likely"],
    [desk, "10.99.0.3", "unlikely"],
    [desk, "100.64.9.9", "unlikely"],
    // No IPv6 here.
    [desk, "2001:db8:9::9", "unlikely"],
  ];
  for (const [from, address, judged] of table) assert.equal(reachability(address, from), judged, address);
}, { pure: true });

/** The priority that pion gives every host candidate. */
const HOST = 2_130_706_431;
const LOWERED = 2 ** 24 + HOST % 2 ** 24;

type Arrival = readonly [at: number, address: string, type?: string];
type Told = readonly [at: number, address: string, priority: number];

/** Runs a schedule on a clock of whole milliseconds. */
function run(surroundings: Surroundings, arrivals: readonly Arrival[]): Told[] {
  const schedule = new CandidateSchedule(surroundings);
  const told: Told[] = [];
  const tell = (at: number, line: string) => {
    const [, , , priority, address] = line.split(" ");
    told.push([at, address!, Number(priority)]);
  };
  for (let now = 0; now < 1_000; now++) {
    for (const [at, address, type = "host"] of arrivals) {
      if (at !== now) continue;
      const line = schedule.add(`candidate:1 1 udp ${HOST} ${address} 50000 typ ${type}`, now);
      if (line !== undefined) tell(now, line);
    }
    const due = schedule.nextAt;
    if (due !== undefined && due <= now) { for (const line of schedule.take(now)) tell(now, line); }
  }
  assert.equal(schedule.nextAt, undefined);
  return told;
}

const schedules: readonly [
  title: string,
  from: Surroundings,
  arrivals: readonly Arrival[],
  told: readonly Told[],
][] = [
  ["tells unlikely candidates late and lowest where a likely one is known", laptop, [
    [0, "192.168.50.2"],
    [0, "192.168.1.77"],
    [3, "10.9.0.2"],
  ], [
    [0, "192.168.1.77", HOST],
    [150, "192.168.50.2", LOWERED],
    [153, "10.9.0.2", LOWERED],
  ]],
  ["tells unlikely candidates soon where they are all there is", laptop, [
    [0, "192.168.50.2"],
    [4, "10.9.0.2"],
  ], [[10, "192.168.50.2", LOWERED], [14, "10.9.0.2", LOWERED]]],
  ["tells a likely candidate at once, however late it comes", laptop, [
    [0, "192.168.50.2"],
    [40, "192.168.1.77"],
  ], [[10, "192.168.50.2", LOWERED], [40, "192.168.1.77", HOST]]],
  ["takes a server-reflexive candidate for likely, and leaves its priority", laptop, [
    [0, "203.0.113.9", "srflx"],
    [0, "192.168.50.2"],
  ], [[0, "203.0.113.9", HOST], [150, "192.168.50.2", LOWERED]]],
  ["lets no relay hold direct candidates up", laptop, [
    [0, "203.0.113.9", "relay"],
    [0, "192.168.50.2"],
  ], [[0, "203.0.113.9", HOST], [10, "192.168.50.2", LOWERED]]],
  ["never tells an address of this computer when the machine has another", laptop, [
    [0, "127.0.0.1"],
    [0, "172.17.0.1"],
    [5, "192.168.50.2"],
    [200, "192.168.1.5"],
  ], [[15, "192.168.50.2", LOWERED]]],
  ["tells addresses of this computer when the machine has no other", laptop, [
    [0, "127.0.0.1"],
    [2, "192.168.1.5"],
    [2, "203.0.113.9", "srflx"],
  ], [[2, "203.0.113.9", HOST], [10, "127.0.0.1", LOWERED], [12, "192.168.1.5", LOWERED]]],
  ["tells everything at once where signaling leads to this computer", {
    ...laptop,
    signalingHost: "localhost",
  }, [
    [0, "127.0.0.1"],
    [0, "192.168.50.2"],
    [5, "192.168.1.77"],
  ], [[0, "127.0.0.1", HOST], [0, "192.168.50.2", HOST], [5, "192.168.1.77", HOST]]],
  [
    "tells everything at once where signaling leads to an address of this computer",
    {
      ...laptop,
      signalingHost: "192.168.1.5",
    },
    [[0, "127.0.0.1"], [0, "192.168.50.2"]],
    [[0, "127.0.0.1", HOST], [0, "192.168.50.2", HOST]],
  ],
  ["takes the address that signals for likely", desk, [
    [0, "10.99.0.2"],
    [0, "172.17.0.1"],
    [0, "127.0.0.1"],
  ], [[0, "10.99.0.2", HOST], [150, "172.17.0.1", LOWERED]]],
];

for (const [title, from, arrivals, told] of schedules) {
  test(`CandidateSchedule ${title}`, () => assert.deepEqual(run(from, arrivals), told), { pure: true });
}

test("CandidateSchedule leaves to the engine what it cannot read", () => {
  const schedule = new CandidateSchedule(laptop);
  for (
    const line of [
      "candidate:5 1 TCP 1518280447 192.168.50.2 9 typ host tcptype active",
      "candidate:nonsense",
      "end-of-candidates",
      "",
    ]
  ) assert.equal(schedule.add(line, 0), line);
}, { pure: true });
