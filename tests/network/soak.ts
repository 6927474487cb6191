/** Scenarios of what many dials, calls and channels leave behind, and what they cost. */

import { startProgram } from "./program.ts";
import { duration, leave, must, type Scenario, type Setting, type Table } from "./scenario.ts";
import { MACHINE_NAME, type World } from "./world.ts";

/** A client that collects garbage on command. */
const COLLECTING = ["--allow-all", "--v8-flags=--expose-gc"];

interface Usage {
  readonly threads: number;
  readonly descriptors: number;
  /** The number of TCP connections. Where they may stay idle, they are not among the descriptors. */
  readonly tcp: number;
  readonly rssKiB: number;
  /** The part of it that the program itself uses. */
  readonly usedKiB: number;
  readonly peers: number;
}

/** The difference between the first and the second. */
const change = (before: number, after: number) => `${before}, then ${after}`;

function mustNotGrow(before: Usage, after: Usage): void {
  for (const name of ["threads", "descriptors", "peers"] as const) {
    must(after[name] <= before[name], `${after[name] - before[name]} more ${name}`);
  }
}

export const SOAK: Table = {
  id: "soak",
  title: "Again and again",
  text:
    `Dial, call and close, 1,000 times, after 600 rounds to warm up. Threads and descriptors must not grow. Memory in use may
grow by 8 KiB a round at most; on Bun, so may all memory of the process. On Deno that memory has grown to some 200 MiB and
then stayed, so it has no limit. Both runtimes collect garbage before each measurement.`,
  columns: ["a round", "threads", "descriptors", "in use, a round", "held, a round", "left behind"],
};

const ROUNDS = 1_000;
const WARM_UP_ROUNDS = 600;
const MOST_KIB_A_ROUND = 8;

const soak: Scenario = {
  table: SOAK.id,
  name: "dial, call, close",
  quick: false,
  pion: "also",
  async run(setting) {
    const world = await setting.world();
    const client = await world.startClient(COLLECTING);
    const rounds = { warmUp: WARM_UP_ROUNDS, rounds: ROUNDS };
    const dial = { address: MACHINE_NAME, options: world.options(), ...rounds };
    const { before, after, tookMs } = await client.ask("soak", dial, 280_000);
    mustNotGrow(before, after);
    const used = (after.usedKiB - before.usedKiB) / ROUNDS, held = (after.rssKiB - before.rssKiB) / ROUNDS;
    const bounded = setting.client.name === "bun" ? Math.max(used, held) : used;
    must(bounded <= MOST_KIB_A_ROUND, `memory grew by ${bounded.toFixed(1)} KiB a round`);
    return [
      duration(tookMs / ROUNDS),
      change(before.threads, after.threads),
      change(before.descriptors, after.descriptors),
      `${used.toFixed(1)} KiB`,
      `${held.toFixed(1)} KiB`,
      await leave(client),
    ];
  },
};

export const CHURN: Table = {
  id: "churn",
  title: "All at once",
  text: "Every 50 ms the client dials, calls, aborts either, or closes a channel with open calls, on up " +
    "to twelve channels at a time, in a random order (`--seed` repeats a run). The longer run kills " +
    "and restarts the machine every 30 s. Everything must end, and nothing may be left.",
  columns: ["seed", "dials", "calls", "threads", "descriptors", "left behind"],
};

/** Bun's `fetch` keeps a connection for each of several concurrent requests, for minutes. */
const MOST_IDLE = 12;

/** Allowed endings of dials and calls that are aborted, or whose channel or machine goes away. */
const ENDINGS = /^(?:abort|close|(?:dial|call|close): (?:done|refused|Canceled|Unavailable|AbortError))$/;
/** Allowed endings of dials of an absent machine. */
const DIAL_ENDINGS = /^dial: \w+Error$|: DeadlineExceeded$/;

interface Churned {
  readonly before: Usage;
  readonly after: Usage;
  /** The number of times that each ending occurred. */
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

function churning(name: string, quick: boolean, forMs: number, killEveryMs?: number): Scenario {
  return {
    table: CHURN.id,
    name,
    quick,
    pion: "also",
    async run(setting: Setting) {
      const world = await setting.world();
      const client = await world.startClient(COLLECTING);
      const { seed } = setting;
      const churn = { address: MACHINE_NAME, options: world.options(), seed, everyMs: 50, forMs };
      const churned = client.ask("churn", churn, forMs + 120_000);
      let over = false;
      const settled = churned.finally(() => over = true);
      settled.catch(() => {});
      if (killEveryMs !== undefined) await killAgainAndAgain(world, killEveryMs, settled, () => over);
      const { before, after, counts, failures }: Churned = await settled.catch((error) => {
        throw new Error(`seed ${seed}: ${error.message}`);
      });
      const right = (ending: string) =>
        ENDINGS.test(ending) || (killEveryMs !== undefined && DIAL_ENDINGS.test(ending));
      const strange = Object.entries(counts).filter(([ending]) => !right(ending));
      must(strange.length === 0, `seed ${seed}: ${JSON.stringify(strange)}; ${failures.join("; ")}`);
      const { "call: done": calls = 0, "dial: done": done = 0 } = counts;
      const { "dial: refused": refused = 0 } = counts;
      must(calls > 0, `seed ${seed}: no call succeeded`);
      // Dials that are aborted hold no machine. Fifty may wait for one that was killed.
      const most = killEveryMs === undefined ? 0 : done - 1;
      must(done > 0 && refused <= most, `seed ${seed}: ${done} dials succeeded, ${refused} were refused`);
      mustNotGrow(before, after);
      must(after.tcp <= before.tcp + MOST_IDLE, `${after.tcp - before.tcp} more TCP connections`);
      const all = (what: string) =>
        Object.entries(counts).filter(([ending]) => ending.startsWith(`${what}: `))
          .map(([ending, count]) => `${count} ${ending.slice(what.length + 2)}`).toSorted().join(", ");
      return [
        String(seed),
        all("dial"),
        all("call"),
        change(before.threads, after.threads),
        change(before.descriptors, after.descriptors),
        await leave(client),
      ];
    },
  };
}

async function killAgainAndAgain(
  world: World,
  everyMs: number,
  until: Promise<unknown>,
  over: () => boolean,
): Promise<void> {
  while (!over()) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const next = new Promise((resolve) => timer = setTimeout(resolve, everyMs));
    await Promise.race([next, until.catch(() => {})]);
    clearTimeout(timer);
    if (over()) return;
    await world.machineProgram.kill();
    await world.restartMachine();
  }
}

export const FLEET: Table = {
  id: "fleet",
  title: "Many machines at once",
  text: "The client has a channel to each of 200 machines over WebRTC, and makes 10 calls a second on " +
    "each, for 10 s; client and machines share two cores. `examples/many_machines.ts` shows how to " +
    "write that. Threads and descriptors are those of 200 channels.",
  columns: [
    "dialed all in",
    "calls",
    "median, 99 of 100, longest",
    "threads",
    "descriptors",
    "memory a channel",
  ],
};

const MACHINES = 200;

const fleet: Scenario = {
  table: FLEET.id,
  name: `${MACHINES} machines`,
  quick: false,
  async run(setting) {
    const world = await setting.world();
    const machine = { count: MACHINES, hostname: "0.0.0.0", auth: "none" };
    await using machines = await startProgram(world.machine, setting.server, "machines", machine);
    const { ports } = machines.greeting as { ports: number[] };
    const client = await world.startClient();
    const came = await client.ask("fleet", {
      addresses: ports.map((port) => `http://${world.machine.address}:${port}`),
      options: { insecure: true, mdns: false, webrtc: { signalingInsecure: true } },
      everyMs: 100,
      forMs: 10_000,
    }, 200_000);
    must(came.failed === 0, `${came.failed} calls failed`);
    must(came.during.peers === MACHINES, `${came.during.peers} connections`);
    await leave(client);
    return [
      duration(came.dialedMs),
      String(came.calls),
      [came.medianMs, came.p99Ms, came.longestMs].map(duration).join(", "),
      change(came.before.threads, came.during.threads),
      change(came.before.descriptors, came.during.descriptors),
      `${((came.during.rssKiB - came.before.rssKiB) / MACHINES).toFixed(0)} KiB`,
    ];
  },
};

export const HERD: Table = {
  id: "herd",
  title: "Many clients of one machine",
  text:
    "200 channels to one machine, which signals for itself, each with a call under way when the machine is " +
    "killed; it is started again after 2 s. All of them must be back within 15 s of that.",
  columns: ["half of them back after", "all of them back after", "failed calls then"],
};

const CLIENTS = 200;
const BACK_MS = 15_000;

const herd: Scenario = {
  table: HERD.id,
  name: `${CLIENTS} clients of a machine that is killed`,
  quick: false,
  pion: "also",
  async run(setting) {
    const world = await setting.world({ alone: "plaintext" });
    const client = await world.startClient();
    await client.ask("gatherHerd", {
      address: world.address,
      options: { ...world.options(), mdns: false },
      count: CLIENTS,
    }, 120_000);
    await world.machineProgram.kill();
    const underWay = client.ask("herdCall", {}, 120_000);
    underWay.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await world.restartMachine();
    const startedMs: number = await client.ask("now");
    const times: number[] = await client.ask("herdBack", {}, 120_000);
    times.sort((one, other) => one - other);
    await underWay;
    const failed: number = await client.ask("herdCall", {}, 60_000);
    must(failed === 0, `${failed} calls failed afterwards`);
    const lastMs = times.at(-1)! - startedMs;
    must(lastMs < BACK_MS, `the last client was back after ${lastMs.toFixed(0)} ms`);
    await client.ask("herdClose", {}, 60_000);
    await leave(client);
    return [duration(times[CLIENTS / 2]! - startedMs), duration(lastMs), `none of ${CLIENTS}`];
  },
};

export const SOAK_SCENARIOS: readonly Scenario[] = [
  soak,
  churning("for 15 s", true, 15_000),
  churning("for 3 minutes", false, 180_000, 30_000),
  fleet,
  herd,
];
