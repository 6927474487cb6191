/** Scenarios of small calls beside bulk data, on links of each kind, against targets. */

import { type LinkChart, linkChart } from "./link_chart.ts";
import type { Host } from "./lab.ts";
import type { Link, LinkShape } from "./link.ts";
import { startProgram } from "./program.ts";
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
import type { World } from "./world.ts";

const BESIDE =
  "The client makes a small call every 100 ms while a stream uses all of the link for some seconds. ";
const ABOUT = BESIDE +
  "MB/s are of messages; the share of a link counts whole packets, of which 7 % are headers. ";
const COLUMNS = ["MB/s", "share", "median call; 99 of 100", "targets", "misses one by", "left behind"];

export const LIMITED: Table = {
  id: "bulk-limited",
  title: "Bulk data and small calls: links with a limit",
  text: ABOUT,
  columns: COLUMNS,
};

export const LONG: Table = {
  id: "bulk-long",
  title: "Bulk data and small calls: long links",
  text:
    `${BESIDE}MB/s count whole packets, from the third second on. Each figure is the median of three connections, since chance decides
when the first packet gets lost; with loss, of eighteen, six at a time, each on a link of its own.

Shares are of the best that bare frames of 60 kB reach there, with 256 KiB, 1 MiB and 4 MiB of the engine's buffer. The last
figure of that row is what the program that makes the delay lets through.`,
  columns: COLUMNS,
};

export const CHANGING: Table = {
  id: "bulk-changing",
  title: "Bulk data and small calls: a link that changes",
  text: ABOUT + "![Rate and delay over time](networks-changing.svg)",
  columns: COLUMNS,
};

interface Kind {
  readonly table: Table;
  readonly name: string;
  readonly shape: LinkShape;
  /** The rate that it changes to, and back, every so often. */
  readonly other?: { readonly bitsPerSecond: number; readonly everyMs: number };
  readonly forMs: number;
  /** Share of the link, or of the best of bare frames, and the time of small calls, in milliseconds. */
  readonly targets: { readonly share: number; readonly medianMs: number; readonly longMs: number };
}

const KINDS: readonly Kind[] = [
  {
    table: LIMITED,
    name: "1 Mbit/s, 50 ms",
    shape: { bitsPerSecond: 1_000_000, delayMs: 25 },
    forMs: 8_000,
    targets: { share: 0.9, medianMs: 300, longMs: 600 },
  },
  {
    table: LIMITED,
    name: "10 Mbit/s, 50 ms",
    shape: { bitsPerSecond: 10_000_000, delayMs: 25 },
    forMs: 6_000,
    targets: { share: 0.9, medianMs: 120, longMs: 250 },
  },
  {
    table: LIMITED,
    name: "100 Mbit/s, 20 ms",
    shape: { bitsPerSecond: 100_000_000, delayMs: 10 },
    forMs: 6_000,
    targets: { share: 0.8, medianMs: 80, longMs: 200 },
  },
  {
    table: LONG,
    name: "no limit, 100 ms",
    shape: { delayMs: 50 },
    forMs: 8_000,
    targets: { share: 1, medianMs: 200, longMs: 500 },
  },
  {
    table: LONG,
    name: "no limit, 100 ms, 1 % loss",
    shape: { delayMs: 50, loss: 0.01 },
    forMs: 8_000,
    targets: { share: 1, medianMs: 300, longMs: 1_000 },
  },
  {
    table: CHANGING,
    name: "1 Mbit/s that becomes 10 and 1 again, every 5 s, 50 ms",
    shape: { bitsPerSecond: 1_000_000, delayMs: 25 },
    other: { bitsPerSecond: 10_000_000, everyMs: 5_000 },
    forMs: 20_000,
    targets: { share: 0.75, medianMs: 400, longMs: 1_500 },
  },
];

const SAMPLE_MS = 250;

interface Sample {
  readonly atMs: number;
  /** Bytes that the link has passed on, and those that it could have. */
  readonly bytes: number;
  readonly capacity: number;
}

interface Transferred {
  readonly bytes: number;
  readonly tookMs: number;
  readonly calls: readonly { readonly atMs: number; readonly tookMs: number }[];
}

/** Connections that are measured on a long link, one after the other. */
const TURNS = 3;

/** Connections at a time where packets get lost, each on a link of its own: they differ by a fifth, and are slow. */
const AT_A_TIME = 6;

/** Time from which on a rate on a long link counts, in milliseconds. */
const START_MS = 2_000;

/** The best of bare frames, in bytes a second, by kind of link and runtime. */
const best = new Map<string, number>();

/** Samples the link, and changes it where it changes, until `stop`. */
function watch(link: Link, { shape, other }: Kind, direction: "up" | "down") {
  const samples: Sample[] = [];
  const began = performance.now();
  let rate = shape.bitsPerSecond ?? Infinity, capacity = 0, lastMs = 0;
  const changing = other === undefined ? undefined : setInterval(() => {
    rate = rate === other.bitsPerSecond ? shape.bitsPerSecond! : other.bitsPerSecond;
    void link.shape({ ...shape, bitsPerSecond: rate });
  }, other.everyMs);
  const sample = async () => {
    const counts = await link.counts();
    const atMs = performance.now() - began;
    capacity += rate / 8_000 * (atMs - lastMs);
    lastMs = atMs;
    samples.push({ atMs, bytes: direction === "up" ? counts.there.bytes : counts.back.bytes, capacity });
  };
  const sampling = setInterval(() => void sample(), SAMPLE_MS);
  return {
    async stop(): Promise<readonly Sample[]> {
      clearInterval(changing);
      clearInterval(sampling);
      await sample();
      return samples;
    },
  };
}

/** The hosts of clients at a time, and their links. */
async function hostsOf(world: World, { shape }: Kind): Promise<readonly (readonly [Host, Link])[]> {
  const hosts: (readonly [Host, Link])[] = [[world.client, await world.lab.link(world.client)]];
  while (shape.loss !== undefined && hosts.length < AT_A_TIME) {
    const host = await world.lab.host(`client-${hosts.length + 1}`);
    hosts.push([host, await world.lab.link(host)]);
  }
  return hosts;
}

/** The rate of whole packets on a long link, in bytes a second. */
function rateOf(samples: readonly Sample[], forMs: number): number {
  const counted = samples.filter(({ atMs }) => atMs >= START_MS && atMs <= forMs);
  const first = counted[0]!, last = counted.at(-1)!;
  return (last.bytes - first.bytes) / (last.atMs - first.atMs) * 1_000;
}

async function measure(setting: Setting, kind: Kind, direction: "up" | "down"): Promise<Cells> {
  const world = await setting.world({ alone: "plaintext" });
  const hosts = await hostsOf(world, kind);
  // Calls from before the second connection wait as long as ever; it takes one to three seconds.
  const isQueued = setting.make === "pion" && direction === "down" &&
    kind.shape.bitsPerSecond! <= 10_000_000;
  const forMs = setting.gate ? Math.min(kind.forMs, 5_000) : isQueued ? 2 * kind.forMs : kind.forMs;

  async function turn([host, link]: readonly [Host, Link]) {
    const client = await startProgram(host, setting.client, "client");
    // Before the dial: the engine would take a path that becomes long later for one that loses packets.
    await link.shape(kind.shape);
    await client.ask("dial", { address: world.address, options: world.options() });
    const watched = watch(link, kind, direction);
    const transferred: Transferred = await client.ask(
      "transfer",
      { direction, forMs, everyMs: 100 },
      150_000,
    );
    const samples = await watched.stop();
    await link.shape({});
    return { ...transferred, samples, left: await leave(client) };
  }

  const turns: Awaited<ReturnType<typeof turn>>[] = [];
  for (let count = 0; count < (kind.table === LONG ? TURNS : 1); count++) {
    turns.push(...await Promise.all(hosts.map(turn)));
  }
  const { bytes, tookMs, samples, left } = turns[0]!;
  const rate = kind.table === LONG
    ? median(turns.map((one) => rateOf(one.samples, forMs)))
    : bytes / tookMs * 1_000;
  const first = samples[0]!, last = samples.at(-1)!;
  const bare = best.get(`${kind.name} ${setting.client.name}`);
  const share = kind.shape.bitsPerSecond !== undefined
    ? (last.bytes - first.bytes) / (last.capacity - first.capacity)
    : bare === undefined
    ? undefined
    : rate / bare;
  const calls = turns.flatMap((one) => one.calls);
  const times = calls.map((call) => call.tookMs).toSorted((one, other) => one - other);
  const medianMs = times[times.length >> 1]!, longMs = times[Math.floor(times.length * 0.99)]!;
  const { targets } = kind;
  if (isQueued) {
    const longest = Math.max(...calls.filter(({ atMs }) => atMs > forMs / 2).map((call) => call.tookMs));
    must(
      longest <= 2 * targets.longMs,
      `beside a connection for bulk data, a call took ${duration(longest)}`,
    );
  }
  // A busy computer is slow: only what is far from the target is a failure.
  must(medianMs <= 3 * targets.medianMs, `the median call took ${medianMs.toFixed(0)} ms`);
  // What bare frames reach depends on chance, too.
  must(
    bare !== undefined || share === undefined || share >= targets.share / 3,
    `${share?.toFixed(2)} of the link`,
  );
  if (kind.other !== undefined && direction === "up" && setting.make === "embedded") {
    charts.set(setting.client.name, { samples, calls });
  }
  const misses = [
    medianMs / targets.medianMs - 1,
    longMs / targets.longMs - 1,
    1 - (share ?? 1) / targets.share,
  ];
  const missed = Math.max(...misses);
  return [
    megabytes(rate),
    share?.toFixed(2) ?? "–",
    `${duration(medianMs)}; ${duration(longMs)}`,
    `${targets.share}, ${targets.medianMs} ms; ${duration(targets.longMs)}`,
    missed > 0 ? `${Math.ceil(100 * missed)} %` : "–",
    left,
  ];
}

function megabytes(rate: number): string {
  return (rate / 1e6).toFixed(rate < 1e6 ? 3 : 2);
}

/** Throughput of bare frames, in bytes a second. */
async function bareFrames(
  setting: Setting,
  kind: Kind,
  world: World,
  [host, link]: readonly [Host, Link],
  sendBufferSize: number,
): Promise<number> {
  await using sender = await startProgram(host, setting.client, "bare", { sendBufferSize });
  await using receiver = await startProgram(world.machine, setting.server, "bare", { sendBufferSize });
  const answer = await receiver.ask("answer", { offer: await sender.ask("offer") });
  await sender.ask("accept", { answer });
  const watched = watch(link, kind, "up");
  await sender.ask("send", { forMs: kind.forMs });
  return rateOf(await watched.stop(), kind.forMs);
}

/** Measures how much the link lets through, in bytes a second. */
async function ceiling(setting: Setting, kind: Kind, world: World, link: Link): Promise<number> {
  await using sender = await startProgram(world.client, setting.client, "bare", { sendBufferSize: 262_144 });
  const watched = watch(link, kind, "up");
  const forMs = 2 * START_MS;
  await sender.ask("flood", { address: world.machine.address, forMs });
  return rateOf(await watched.stop(), forMs);
}

function bare(kind: Kind): Scenario {
  return {
    table: kind.table.id,
    name: `${kind.name}: bare frames, 256 KiB; 1 MiB; 4 MiB; the link itself`,
    quick: false,
    async run(setting) {
      const world = await setting.world({ alone: "plaintext" });
      const hosts = await hostsOf(world, kind);
      for (const [, link] of hosts) await link.shape(kind.shape);
      const sizes = [262_144, 1_048_576, 4_194_304];
      const rates: number[][] = sizes.map(() => []);
      for (let turn = 0; turn < TURNS; turn++) {
        for (const [index, size] of sizes.entries()) {
          rates[index]!.push(
            ...await Promise.all(hosts.map((host) => bareFrames(setting, kind, world, host, size))),
          );
        }
      }
      const medians = rates.map(median);
      best.set(`${kind.name} ${setting.client.name}`, Math.max(...medians));
      const most = await ceiling(setting, kind, world, hosts[0]![1]);
      return [[...medians, most].map(megabytes).join("; "), "–", "–", "–", "–", "–"];
    },
  };
}

const charts = new Map<string, LinkChart>();

/** The chart of the link that changes, once both runtimes were measured. */
export function changingChart(): string | undefined {
  return charts.size === 2 ? linkChart(charts) : undefined;
}

export const BULK_SCENARIOS: readonly Scenario[] = KINDS.flatMap((kind): Scenario[] => [
  ...kind.table === LONG ? [bare(kind)] : [],
  {
    table: kind.table.id,
    name: `${kind.name}: upload`,
    quick: kind.name.startsWith("10 Mbit/s"),
    pion: "also",
    run: (setting) => measure(setting, kind, "up"),
  },
  {
    table: kind.table.id,
    name: `${kind.name}: download`,
    quick: kind.name.startsWith("10 Mbit/s"),
    // A machine on pion queues whatever it is given. Where its start loses packets, suspicion may come first.
    ...kind.table === LIMITED ? { pion: "also" as const } : {},
    run: (setting) => measure(setting, kind, "down"),
  },
]);
