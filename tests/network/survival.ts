/** Scenarios of events on a network under an open channel, and their effect on its calls. */

import type { Host } from "./lab.ts";
import type { Program } from "./program.ts";
import { type Cells, duration, leave, must, type Scenario, type Setting, type Table } from "./scenario.ts";
import { bothWays, CLIENT, forwarding, MACHINE_NAME, type World } from "./world.ts";

export const SURVIVAL: Table = {
  id: "survival",
  title: "What a channel survives",
  text:
    `The client makes a call every 50 ms, each with a deadline of 10 s, before, during and after the event. Failed calls are
counted by code. "Again after" is the time from the end of the event, when the path works again, to the end of the first
successful call. The connection stayed, or was replaced. Calls of the first second, before silence is suspected, can fail.

A link that was down for a second is found again in one of three ways: by packets that the router has kept, by the
connection that a second of silence begins, or by the engine's next retransmission, 0.2, 0.6 or 1.4 s after the first packet
that got lost. After a longer outage it is the other connection, once the machine is back at its signaling server. Where the
machine has to connect to that server anew, the time since then is given, too: after a minute, gRPC on a machine on pion
pauses for many seconds between two tries.

Where the round trip jumps, the connection stays. The engine takes packets that are late by more than 0.2 s for lost, sends
them again, and begins anew with a window of one packet. The window takes some six round trips to hold what 20 calls a
second send, so some calls wait for longer than their 10 s.

Loss is of round trips, half of it each way.`,
  columns: ["calls failed", "again after", "longest call", "connection", "left behind"],
};

export const SURVIVAL_DIRECT: Table = {
  id: "survival of direct channels",
  title: "What a direct channel survives",
  text:
    `The same events over HTTP/2, where a call that cannot connect fails at once. A connection counts as replaced if it is gone
afterwards. TCP doubles the time to the next retransmission with each one that gets lost.`,
  columns: SURVIVAL.columns,
};

/** The deadline of each call, in milliseconds. */
export const MOST_CALL_MS = 10_000;

/** The ending of one call. */
export interface Outcome {
  readonly madeMs: number;
  readonly endedMs: number;
  readonly code?: string;
}

/** The results of the calls. */
interface Survived {
  /** True if calls that reach nobody fail at once. */
  readonly isDirect: boolean;
  readonly total: number;
  readonly failed: readonly Outcome[];
  readonly againAfterMs: number;
  readonly longestMs: number;
  /** Connections that others have replaced. */
  readonly replaced: number;
  /** The same as `againAfterMs`, from the moment at which the machine has connected to its signaling server anew. */
  readonly afterReturnMs: number | undefined;
  /** The events of the channel meanwhile, for whoever investigates a failure. */
  readonly events: readonly { readonly atMs: number; readonly type: string; readonly detail?: string }[];
}

/** Resolves after a time. */
export const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Makes calls during an event, and watches the connections. */
async function callDuring(world: World, client: Program, event: Event, isDirect: boolean): Promise<Survived> {
  const connections = () => isDirect ? tcpPorts(world.client, world.machine.address) : Promise.resolve([]);
  await client.ask("steady", { everyMs: 50, timeoutMs: MOST_CALL_MS });
  await pause(500);
  const before = await connections();
  await event.happen(world, client);
  const backMs: number = await client.ask("now");
  const returning = event.isLong === true && !isDirect ? watchReturn(world) : undefined;
  try {
    await client.ask("recover", { timeoutMs: 60_000 }, 90_000);
    await pause(1_500);
  } catch (error) {
    await returning?.stop().catch(() => {});
    throw error;
  }
  const after = new Set(await connections());
  const returnMs = await returning?.stop();
  const { outcomes, events }: { outcomes: Outcome[]; events: Survived["events"] } = await client.ask(
    "outcomes",
    {},
    30_000,
  );
  const again = outcomes.filter(({ code, endedMs }) => code === undefined && endedMs > backMs)
    .map(({ endedMs }) => endedMs);
  const againAfterMs = Math.min(...again) - backMs;
  return {
    isDirect,
    total: outcomes.length,
    failed: outcomes.filter(({ code }) => code !== undefined),
    againAfterMs,
    afterReturnMs: returnMs === undefined || returnMs > againAfterMs ? undefined : againAfterMs - returnMs,
    longestMs: Math.max(...outcomes.map(({ madeMs, endedMs }) => endedMs - madeMs)),
    replaced: isDirect
      ? before.filter((port) => !after.has(port)).length
      : events.filter(({ type }) => type === "disconnected").length,
    events: events.map((event) => ({ ...event, atMs: event.atMs - backMs })),
  };
}

/** The local ports of a host's TCP connections to another. */
async function tcpPorts(host: Host, to: string): Promise<string[]> {
  const list = await host.run("ss", "-tnH", "state", "established", "dst", to);
  return list.split("\n").flatMap((line) => /:(\d+)\s+[\d.]+:\d+\s*$/.exec(line)?.[1] ?? []);
}

/** Watches for another connection of the machine to its signaling server; returns how long it took, if there was one. */
function watchReturn({ machine, signaling }: World): { stop(): Promise<number | undefined> } {
  const began = performance.now();
  let isOver = false;
  const running = (async () => {
    const known = new Set(await tcpPorts(machine, signaling.address));
    while (!isOver) {
      const ports = await tcpPorts(machine, signaling.address);
      if (ports.some((port) => !known.has(port))) return performance.now() - began;
      await pause(100);
    }
    return undefined;
  })();
  // Whoever stops the watch hears of its failure.
  running.catch(() => {});
  return {
    stop() {
      isOver = true;
      return running;
    },
  };
}

function cellsOf(
  { total, failed, againAfterMs, afterReturnMs, longestMs, replaced }: Survived,
  left: string,
): Cells {
  const codes = [...new Set(failed.map(({ code }) => code!))].toSorted();
  const failures = failed.length === 0
    ? `none of ${total}`
    : `${failed.length} of ${total}: ${codes.join(", ")}`;
  const again = duration(againAfterMs) +
    (afterReturnMs === undefined ? "" : `; ${duration(afterReturnMs)} after the machine's return`);
  const connection = replaced === 0 ? "stayed" : replaced === 1 ? "replaced" : `${replaced} replaced`;
  return [failures, again, duration(longestMs), connection, left];
}

/** Each with its time, counted from the end of the event. */
function describeEvents({ events }: Survived): string {
  return events.map(({ atMs, type, detail }) => `  ${atMs.toFixed(0)} ms: ${type} ${detail ?? ""}`).join(
    "\n",
  );
}

interface Event {
  readonly name: string;
  readonly quick: boolean;
  /** Long enough for a machine to lose its signaling server. */
  readonly isLong?: boolean;
  /** Runs over a direct channel, too; in the gate where it says so. */
  readonly direct?: boolean | "quick";
  readonly turn?: boolean;
  readonly dial?: object;
  readonly webrtc?: object;
  /** Runs before the dial. */
  prepare?(world: World): Promise<void>;
  /** Runs the event; resolves when the path is there again. */
  happen(world: World, client: Program): Promise<void>;
  /** Conditions besides that calls succeed in the end. */
  readonly check?: (survived: Survived) => void;
}

const noneFails = ({ failed }: Survived) => {
  const codes = [...new Set(failed.map(({ code }) => code))].join(", ");
  must(failed.length === 0, `${failed.length} calls failed: ${codes}`);
};
function noExchange({ replaced }: Survived): void {
  must(replaced === 0, `${replaced} connections were replaced`);
}
/** No call fails, and no connection is replaced. */
function noAlarm(survived: Survived): void {
  noneFails(survived);
  noExchange(survived);
}
/** The most calls that fail where others were made before anything was noticed: in two seconds. */
const MOST_LOST = 45;
const fewFail = ({ failed, isDirect }: Survived) => {
  if (isDirect) return;
  const lost = failed.filter(({ code }) => code !== "DeadlineExceeded").length;
  must(lost <= MOST_LOST, `${lost} calls failed`);
};
const within = (milliseconds: number) => ({ againAfterMs, afterReturnMs = againAfterMs }: Survived) =>
  must(afterReturnMs < milliseconds, `calls succeed again after ${againAfterMs.toFixed(0)} ms`);

function linkDown(seconds: number): Event {
  return {
    name: `the machine's link is down for ${seconds} s`,
    quick: seconds <= 3,
    isLong: seconds > 3,
    direct: true,
    dial: { maxReconnectAttempts: 20 },
    async happen(world) {
      await world.machine.link("down");
      await pause(seconds * 1_000);
      await world.machine.link("up");
    },
    // A call that waits for a retransmission may need the whole interval between two of them.
    check: seconds <= 3 ? noneFails : all(fewFail, within(5_000)),
  };
}

type Check = (survived: Survived) => void;
const all = (...checks: Check[]): Check => (survived) => {
  for (const check of checks) check(survived);
};

/** Stops a program for some seconds, as a sleep does. */
function stopped(who: "client" | "machine", seconds: number, check: Check): Event {
  return {
    name: `the ${who} is stopped for ${seconds} s`,
    quick: seconds <= 4,
    direct: seconds <= 4 ? "quick" : true,
    async happen({ machineProgram }, client) {
      const program = who === "client" ? client : machineProgram;
      await signal(program, "SIGSTOP");
      await pause(seconds * 1_000);
      await signal(program, "SIGCONT");
    },
    check,
  };
}

const EVENTS: readonly Event[] = [
  {
    name: "the machine is killed, and started again on another port",
    quick: true,
    async happen(world) {
      await world.machineProgram.kill();
      await world.restartMachine();
    },
    check: all(fewFail, within(5_000)),
  },
  ...[2, 60].map((seconds): Event => ({
    name: `the machine is killed, and started again after ${seconds} s`,
    quick: false,
    direct: true,
    async happen(world) {
      await world.machineProgram.kill();
      await pause(seconds * 1_000);
      await world.restartMachine();
    },
    check: all(fewFail, within(5_000)),
  })),
  stopped("machine", 4, noAlarm),
  stopped("client", 60, within(5_000)),
  ...[1, 3, 10, 60].map(linkDown),
  {
    name: "the client computes for 20 s",
    quick: false,
    direct: true,
    happen: (_world, client) => client.ask("compute", { forMs: 20_000 }),
    check: noAlarm,
  },
  {
    name: "the round trip grows to 2 s within 20 s, and stays so for 20 s",
    quick: false,
    direct: true,
    async happen({ lab, client }) {
      const link = await lab.link(client);
      for (let delayMs = 50; delayMs <= 1_000; delayMs += 50) {
        await link.shape({ delayMs });
        await pause(1_000);
      }
      await pause(20_000);
      await link.shape({});
    },
    check: noAlarm,
  },
  {
    name: "the round trip jumps to 2 s, for 20 s",
    quick: false,
    direct: true,
    async happen({ lab, client }) {
      const link = await lab.link(client);
      await link.shape({ delayMs: 1_000 });
      await pause(20_000);
      await link.shape({});
    },
    check: all(fewFail, noExchange),
  },
  {
    name: "the client's address changes",
    quick: true,
    direct: true,
    async happen(world) {
      world.client = await world.lab.readdress(world.client);
    },
    check: all(fewFail, within(5_000)),
  },
  {
    name: "the signaling server dies",
    quick: true,
    async happen(world) {
      await world.signalingProgram.kill();
      await pause(1_500);
    },
    check: (survived) => {
      noneFails(survived);
      must(survived.longestMs < 3_000, `a call took ${survived.longestMs.toFixed(0)} ms`);
    },
  },
  {
    name: "the TURN server in between is started again (TLS, nothing else passes)",
    quick: true,
    turn: true,
    prepare: ({ lab }) =>
      lab.router.filter(forwarding(
        ...bothWays(CLIENT, "meta l4proto udp drop"),
        `iifname to-${CLIENT} tcp dport != 443 drop`,
      )),
    happen: (world) => world.turnServer!.restart(),
    check: within(10_000),
  },
  {
    name: "5 % loss, 100 ms there and back, ± 20 ms",
    quick: true,
    direct: true,
    prepare: async ({ lab, client }) =>
      (await lab.link(client)).shape({ delayMs: 50, jitterMs: 10, loss: 0.025 }),
    happen: () => pause(5_000).then(() => {}),
    check: noAlarm,
  },
  {
    name: "30 % loss for 5 s",
    quick: false,
    direct: true,
    async happen({ lab }) {
      const { router } = lab;
      await router.filter(
        forwarding(...bothWays(CLIENT, "meta l4proto { udp, tcp } numgen random mod 100 < 15 drop")),
      );
      await pause(5_000);
      await router.filter("");
    },
    check: noAlarm,
  },
];

function scenarioOf(event: Event, table: Table): Scenario {
  const isDirect = table === SURVIVAL_DIRECT;
  return {
    table: table.id,
    name: event.name,
    quick: isDirect ? event.direct === "quick" : event.quick,
    onNode: isDirect,
    pion: "also",
    async run(setting: Setting): Promise<Cells> {
      const world = await setting.world(isDirect ? { alone: "plaintext" } : { turn: event.turn ?? false });
      await event.prepare?.(world);
      const client = await world.startClient();
      const options = {
        ...world.options(event.webrtc),
        ...event.dial,
        ...isDirect ? { disableWebrtc: true } : {},
      };
      await client.ask("dial", { address: world.address, options });
      const survived = await callDuring(world, client, event, isDirect);
      try {
        event.check?.(survived);
      } catch (error) {
        throw new Error(
          `${(error as Error).message}\n${cellsOf(survived, "").join(" | ")}\n${describeEvents(survived)}`,
        );
      }
      return cellsOf(survived, await leave(client));
    },
  };
}

export const CUT: Table = {
  id: "cut",
  title: "Calls in flight when the network is cut",
  text:
    `One call of each kind is at each of its steps, without a deadline, when the network begins to lose every packet.`,
  columns: ["ended with", "within", "left behind"],
};

const cut: Scenario = {
  table: CUT.id,
  name: "every packet is lost from now on",
  quick: true,
  pion: "also",
  async run(setting) {
    const world = await setting.world();
    const client = await world.startClient();
    const options = { ...world.options(), maxReconnectAttempts: 0 };
    await client.ask("dial", { address: MACHINE_NAME, options });
    await client.ask("inFlight");
    const began = performance.now();
    await world.lab.router.filter(forwarding("drop"));
    const ended: Record<string, string> = await client.ask("inFlightEnded", {}, 60_000);
    const tookMs = performance.now() - began;
    for (const [call, code] of Object.entries(ended)) must(code === "Unavailable", `${call}: ${code}`);
    return [`all ${Object.keys(ended).length} with Unavailable`, duration(tookMs), await leave(client)];
  },
};

export const SIGNALING: Table = {
  id: "signaling",
  title: "Dials that the network fails",
  text: "The error of a dial that cannot succeed, and the time it takes; then the same dial once the " +
    "cause is gone.",
  columns: ["failed after", "with", "then dialed in", "left behind"],
};

function failing(
  name: string,
  quick: boolean,
  breakIt: (world: World) => Promise<void>,
  during: (world: World) => Promise<void>,
  mend: (world: World) => Promise<void>,
): Scenario {
  return {
    table: SIGNALING.id,
    name,
    quick,
    pion: "also",
    async run(setting) {
      const world = await setting.world();
      const client = await world.startClient();
      await breakIt(world);
      const dial = { address: MACHINE_NAME, options: { ...world.options(), timeoutMs: 15_000 } };
      const failed = client.ask("dialInVain", dial);
      failed.catch(() => {});
      await during(world);
      const { tookMs, name: error, phase } = await failed;
      must(tookMs < 16_000, `the dial took ${tookMs.toFixed(0)} ms`);
      await mend(world);
      const again = await dialUntil(client, dial);
      return [duration(tookMs), `${error}, in phase ${phase}`, duration(again), await leave(client)];
    },
  };
}

/** Sends a signal to a program. */
export function signal(program: Program, name: Deno.Signal): Promise<void> {
  Deno.kill(program.pid, name);
  return Promise.resolve();
}

/** Dials until it succeeds: a machine takes a second to return to its signaling server. */
async function dialUntil(client: Program, dial: object): Promise<number> {
  for (let attempt = 1;; attempt++) {
    try {
      return (await client.ask("dial", dial)).tookMs;
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
}

const SIGNALING_SCENARIOS: readonly Scenario[] = [
  failing(
    "the signaling server dies during the dial",
    true,
    ({ signalingProgram }) => signal(signalingProgram, "SIGSTOP"),
    async (world) => {
      await pause(500);
      await world.signalingProgram.kill();
    },
    (world) => world.startSignaling(),
  ),
  failing(
    "the machine does not answer",
    false,
    ({ machineProgram }) => signal(machineProgram, "SIGSTOP"),
    () => Promise.resolve(),
    ({ machineProgram }) => signal(machineProgram, "SIGCONT"),
  ),
  failing(
    "no UDP passes, and there is no TURN server",
    false,
    ({ lab }) => lab.router.filter(forwarding(...bothWays(CLIENT, "meta l4proto udp drop"))),
    () => Promise.resolve(),
    ({ lab }) => lab.router.filter(""),
  ),
];

export const BANDWIDTH: Table = {
  id: "bandwidth",
  title: "Small calls beside a bulk transfer at 1 Mbit/s",
  text:
    `The client's link is limited to 1 Mbit/s each way, and a stream uses all of it. The client makes a small call every 200 ms.
The median is that of the calls after 15 s. The connection must not be replaced.`,
  columns: ["calls failed", "median call", "longest call", "left behind"],
};

function besideBulk(direction: "up" | "down", bitsPerSecond = 1_000_000): Scenario {
  const rate = bitsPerSecond === 1_000_000 ? "" : ` at ${bitsPerSecond / 1e6} Mbit/s`;
  return {
    table: BANDWIDTH.id,
    name: `${direction}load${rate}`,
    quick: false,
    pion: "also",
    async run(setting) {
      const world = await setting.world();
      const client = await world.startClient();
      await client.ask("dial", { address: MACHINE_NAME, options: world.options() });
      await client.ask("bulk", { direction });
      await pause(300);
      const link = await world.lab.link(world.client);
      await link.shape({ bitsPerSecond });
      await client.ask("steady", { everyMs: 200, timeoutMs: 60_000 });
      const cutMs: number = await client.ask("now");
      await pause(23_000);
      const { outcomes, events }: { outcomes: Outcome[]; events: { type: string }[] } = await client.ask(
        "outcomes",
      );
      await link.shape({});
      await client.ask("bulkEnd");
      // A slow machine is not a dead one.
      must(events.every(({ type }) => type !== "disconnected"), "the connection was exchanged");
      const longest = Math.max(...outcomes.map(({ madeMs, endedMs }) => endedMs - madeMs));
      const times = outcomes.filter(({ madeMs }) => madeMs > cutMs + 15_000).map(({ madeMs, endedMs }) =>
        endedMs - madeMs
      ).toSorted((one, other) => one - other);
      const failed = outcomes.filter(({ code }) => code !== undefined).length;
      must(failed === 0, `${failed} of ${outcomes.length} calls failed`);
      const median = times[Math.floor(times.length / 2)]!;
      must(median < 5_000, `the median call took ${median.toFixed(0)} ms`);
      return [`none of ${outcomes.length}`, duration(median), duration(longest), await leave(client)];
    },
  };
}

export const SURVIVAL_SCENARIOS: readonly Scenario[] = [
  ...EVENTS.map((event) => scenarioOf(event, SURVIVAL)),
  ...EVENTS.filter(({ direct }) => direct !== undefined).map((event) => scenarioOf(event, SURVIVAL_DIRECT)),
  cut,
  ...SIGNALING_SCENARIOS,
  besideBulk("up"),
  besideBulk("down"),
  besideBulk("down", 500_000),
];
