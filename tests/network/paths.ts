/** Scenarios of the paths that a dial finds through various networks. */

import {
  type Cells,
  duration,
  leave,
  median,
  must,
  type Scenario,
  type Setting,
  type Table,
} from "./scenario.ts";
import { bothWays, CLIENT, forwarding, MACHINE, MACHINE_NAME, type World } from "./world.ts";

/** Dials of a row after the first. */
const TIMES = 10;

export const PATHS: Table = {
  id: "paths",
  title: "Ways to a machine",
  text:
    `Each row is a process's first dial through the signaling server, then one call of each of the four kinds, then ${TIMES} more
dials. The first column has the median of those ${TIMES}. With STUN and TURN servers, the engine sends its requests to them
and its checks in turn, one every 50 ms. So where nothing delays the answer, the first check leaves after some 150 ms, as
the trace of packets shows.`,
  columns: ["dialed in", "the first dial", "path", "left behind"],
};

/** Longest that a dial by a relay may take, in milliseconds: the engine alone nominates a pair after 2 s. */
const RELAYED_MS = 1_500;

interface PathCase {
  readonly name: string;
  readonly quick: boolean;
  readonly pionInGate?: boolean;
  readonly turn?: boolean;
  readonly translated?: boolean;
  /** Sets the network up, and returns WebRTC options. */
  prepare?(world: World): object | Promise<object | void>;
  /** The kinds of path that are allowed. */
  readonly expected: readonly string[];
  readonly check?: (world: World, path: { local: string; remote: string }) => Promise<void> | void;
}

const UDP_BLOCKED = bothWays(CLIENT, "meta l4proto udp drop");

/** Lets only TCP to port 443 out. */
const ONLY_443 = [...UDP_BLOCKED, `iifname to-${CLIENT} tcp dport != 443 drop`];

const CASES: readonly PathCase[] = [
  { name: "nothing in between", quick: true, pionInGate: true, expected: ["host", "peer-reflexive"] },
  {
    name: "STUN and TURN servers that are not needed",
    quick: true,
    turn: true,
    prepare: (world) => ({ iceServers: [{ urls: `stun:${world.turn.address}:3478` }] }),
    // The engine nominates the first pair that works, which now and then is the relay.
    expected: ["host", "peer-reflexive", "server-reflexive", "relay"],
  },
  {
    name: "address translation in front of both",
    quick: true,
    turn: true,
    translated: true,
    prepare: (world) => ({ iceServers: [{ urls: `stun:${world.turn.address}:3478` }], forceP2P: true }),
    expected: ["peer-reflexive", "server-reflexive"],
  },
  {
    name: "no UDP at all; TURN over TCP",
    quick: true,
    pionInGate: true,
    turn: true,
    prepare: async ({ lab, turnUrls }) => {
      await lab.router.filter(forwarding(...UDP_BLOCKED));
      return { turnUri: turnUrls.tcp };
    },
    expected: ["relay"],
  },
  {
    name: "UDP to the TURN server alone; TURN over UDP",
    quick: false,
    turn: true,
    prepare: async ({ lab, turnUrls }) => {
      await lab.router.filter(forwarding(`iifname to-${CLIENT} oifname to-${MACHINE} meta l4proto udp drop`));
      return { turnUri: turnUrls.udp };
    },
    expected: ["relay"],
  },
  {
    name: "nothing but TCP to port 443; TURN over TLS",
    quick: true,
    turn: true,
    prepare: ({ lab }) => lab.router.filter(forwarding(...ONLY_443)),
    expected: ["relay"],
  },
  {
    name: "`forceRelay` over UDP, with a direct way open",
    quick: true,
    turn: true,
    prepare: ({ turnUrls }) => ({ forceRelay: true, turnUri: turnUrls.udp }),
    expected: ["relay"],
    check: nothingDirect,
  },
  {
    name: "`forceRelay` over TLS, with a direct way open",
    quick: false,
    turn: true,
    prepare: ({ turnUrls }) => ({ forceRelay: true, turnUri: turnUrls.tls }),
    expected: ["relay"],
    check: nothingDirect,
  },
  {
    name: "overridden TURN settings: `turn:` on port 3478 becomes `turns:` on port 443",
    quick: false,
    turn: true,
    prepare: async ({ lab, turnUrls }) => {
      await lab.router.filter(forwarding(...ONLY_443));
      return { turnUri: turnUrls.udp, turnScheme: "turns", turnPort: 443, turnTransport: "tcp" };
    },
    expected: ["relay"],
  },
  {
    name: "`forceP2P`, with a TURN server at hand",
    quick: false,
    turn: true,
    prepare: () => ({ forceP2P: true }),
    expected: ["host", "peer-reflexive", "server-reflexive"],
  },
];

/** Checks that the machine's end of the path is not an address of the client's. */
async function nothingDirect(world: World, path: { local: string }): Promise<void> {
  must(
    path.local.startsWith(`${world.turn.address}:`),
    `the relay is not ${world.turn.address}: ${path.local}`,
  );
  const counters = await world.lab.router.run("nft", "list", "table", "ip", "watch");
  const packets = Number(/udp counter packets (\d+)/.exec(counters)?.[1]);
  must(packets === 0, `${packets} datagrams went directly between client and machine`);
}

async function watchDirect(world: World): Promise<void> {
  await world.lab.router.run(
    "nft",
    [
      "add table ip watch",
      "add chain ip watch forward { type filter hook forward priority -1; }",
      `add rule ip watch forward iifname to-${CLIENT} oifname to-${MACHINE} meta l4proto udp counter`,
    ].join("; "),
  );
}

function scenarioOf(one: PathCase): Scenario {
  return {
    table: PATHS.id,
    name: one.name,
    quick: one.quick,
    pion: one.pionInGate === true ? "always" : "also",
    async run(setting: Setting): Promise<Cells> {
      const world = await setting.world({ turn: one.turn ?? false, translated: one.translated ?? false });
      if (one.check !== undefined) await watchDirect(world);
      const webrtc = await one.prepare?.(world);
      const client = await world.startClient();
      const options = world.options(webrtc ?? {});
      const { tookMs, path } = await client.ask("dial", { address: MACHINE_NAME, options });
      must(one.expected.includes(path.kind), `the path is ${path.kind}: ${path.local} to ${path.remote}`);
      const kinds = await client.ask("kinds");
      must(kinds.length === 4, `only ${kinds} worked`);
      if (one.translated !== true) await socketsAgree(world, path);
      await one.check?.(world, path);
      const isSlow = path.kind === "relay" && tookMs >= RELAYED_MS;
      // The gate measures nothing, and asks again where a busy computer may have been the cause.
      const count = setting.gate ? isSlow ? 3 : 0 : TIMES;
      const { dialMs, failures } = await client.ask("dialInTurn", { address: MACHINE_NAME, options, count });
      must(failures.length === 0, `${failures.length} dials failed: ${failures[0]}`);
      const fastest = Math.min(tookMs, ...dialMs);
      must(
        path.kind !== "relay" || fastest < RELAYED_MS,
        `no dial by a relay took less than ${duration(fastest)}`,
      );
      const cells = [duration(tookMs), path.kind, await leave(client)];
      return [count === 0 ? "" : duration(median(dialMs)), ...cells];
    },
  };
}

/** Checks that the addresses of a path without a relay are those of real sockets. */
async function socketsAgree(
  world: World,
  path: { kind: string; local: string; remote: string },
): Promise<void> {
  if (path.kind === "relay") return;
  for (const [host, end] of [[world.client, path.local], [world.machine, path.remote]] as const) {
    const port = /:(\d+)$/.exec(end)?.[1];
    const sockets = await host.run("ss", "-Hlnu");
    must(end.startsWith(`${host.address}:`), `${end} is no address of ${host.name}`);
    must(new RegExp(`:${port}\\b`).test(sockets), `${host.name} has no UDP socket at ${end}:\n${sockets}`);
  }
}

export const PATH_SCENARIOS: readonly Scenario[] = CASES.map(scenarioOf);
