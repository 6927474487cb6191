/** A client of a machine that carries out commands and reports the results. */

import process from "node:process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { dial, type DialEvent, type DialOptions, type ViamChannel } from "../../../mod.ts";
import { livePeers } from "../../../lib/webrtc/peer.ts";
import { ProbeService } from "../../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { WheelService } from "../../session/proto/gen/viam_dial/test/v1/wheel_pb.ts";
import { answerCommands } from "./answer.ts";
import { churn, type ChurnOptions } from "./churn.ts";
import { callFleet, type FleetOptions, gatherHerd, type Herd, type HerdOptions } from "./fleet.ts";

/** The ending of one of the steady calls. */
interface Outcome {
  /** The times of its start and its end. */
  readonly madeMs: number;
  readonly endedMs: number;
  /** The code of its failure; undefined if it succeeded. */
  readonly code?: string;
}

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

let channel: ViamChannel | undefined;
let events: { atMs: number; type: string; detail?: string }[] = [];
let outcomes: Outcome[] = [];
let inFlight: ReturnType<typeof openCalls> | undefined;
let bulk: { stop(): Promise<number> } | undefined;
let herd: Herd | undefined;
let steady: { stop(): Promise<void> } | undefined;

function probe() {
  if (channel === undefined) throw new Error("there is no channel");
  return createClient(ProbeService, channel);
}

const bytes = (length: number) => ({ data: new Uint8Array(length).fill(7) });

async function* several(count: number, length: number) {
  for (let index = 0; index < count; index++) yield bytes(length);
}

/** Makes one call of each kind, and checks the results. */
async function callEveryKind({ size = 1000 }: { size?: number }): Promise<string[]> {
  const client = probe();
  const done: string[] = [];
  const check = (kind: string, right: boolean) => {
    if (!right) throw new Error(`wrong answer to the ${kind} call`);
    done.push(kind);
  };
  check("unary", (await client.echo(bytes(size), { timeoutMs: 20_000 })).data.length === size);
  let received = 0;
  for await (const { data } of client.download({ size, count: 20 }, { timeoutMs: 20_000 })) {
    received += data.length;
  }
  check("server stream", received === 20 * size);
  const summary = await client.upload(several(20, size), { timeoutMs: 20_000 });
  check("client stream", summary.count === 20 && summary.bytes === BigInt(20 * size));
  let echoed = 0;
  for await (const { data } of client.exchange(several(20, size), { timeoutMs: 20_000 })) {
    echoed += data.length;
  }
  check("bidirectional stream", echoed === 20 * size);
  return done;
}

async function callOnce(timeoutMs: number): Promise<void> {
  const madeMs = performance.now();
  try {
    await probe().echo(bytes(64), { timeoutMs });
    outcomes.push({ madeMs, endedMs: performance.now() });
  } catch (error) {
    outcomes.push({ madeMs, endedMs: performance.now(), code: Code[ConnectError.from(error).code] });
  }
}

interface Transfer {
  readonly direction: "up" | "down";
  readonly forMs: number;
  /** Interval of the small calls beside it. */
  readonly everyMs: number;
}

/** A transfer for some time, with small calls beside it, and how the transfer went and how long each call took. */
async function transfer({ direction, forMs, everyMs }: Transfer) {
  const client = probe();
  const calls: { atMs: number; tookMs: number }[] = [];
  const open = new Set<Promise<void>>();
  const began = performance.now();
  const isOver = () => performance.now() - began > forMs;
  const timer = setInterval(() => {
    if (isOver()) return clearInterval(timer);
    const madeMs = performance.now();
    const call = client.echo(bytes(64), { timeoutMs: 60_000 }).then(() => {
      calls.push({ atMs: madeMs - began, tookMs: performance.now() - madeMs });
    }).finally(() => open.delete(call));
    open.add(call);
  }, everyMs);
  let moved = 0;
  if (direction === "up") {
    const endless = async function* () {
      while (!isOver()) yield bytes(65_536);
    };
    moved = Number((await client.upload(endless(), { timeoutMs: 120_000 })).bytes);
  } else {
    const stop = new AbortController();
    try {
      const messages = client.download({ size: 65_536, count: 1_000_000 }, { signal: stop.signal });
      for await (const { data } of messages) {
        moved += data.length;
        if (isOver()) break;
      }
    } finally {
      stop.abort();
    }
  }
  const tookMs = performance.now() - began;
  await Promise.all(open);
  return { bytes: moved, tookMs, calls };
}

/** Calls of every kind, each stopped at one of its steps, and their endings. */
function openCalls(): { begun: Promise<unknown>; ended: Promise<Record<string, string>> } {
  const client = probe();
  const forever = new Promise<never>(() => {});
  async function* first(count: number) {
    yield* several(count, 100);
    await forever;
  }
  const begun: Promise<void>[] = [];
  const calls: Record<string, (reached: () => void) => Promise<unknown>> = {
    "unary, unanswered": (reached) => {
      setTimeout(reached, 100);
      return client.hangUnary({});
    },
    "server stream, after a message": async (reached) => {
      for await (const _ of client.hang({})) reached();
    },
    "server stream, in the middle of many": async (reached) => {
      let count = 0;
      for await (const _ of client.download({ size: 100, count: 100_000, intervalMs: 20 })) {
        if (++count === 3) reached();
      }
    },
    "client stream, before a message": (reached) => {
      setTimeout(reached, 100);
      return client.upload(first(0));
    },
    "client stream, after a message": (reached) => {
      setTimeout(reached, 100);
      return client.upload(first(1));
    },
    "bidirectional stream, after an echo": async (reached) => {
      for await (const _ of client.exchange(first(1))) reached();
    },
  };
  const ended: Record<string, string> = {};
  const all = Object.entries(calls).map(async ([name, call]) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    begun.push(promise);
    try {
      await call(resolve);
      ended[name] = "OK";
    } catch (error) {
      ended[name] = Code[ConnectError.from(error).code]!;
    }
  });
  return { begun: Promise.all(begun), ended: Promise.all(all).then(() => ended) };
}

/** The number of the process's sockets that are TCP connections. */
function tcpSockets(): number {
  const inodes = new Set(
    ["tcp", "tcp6"].flatMap((protocol) =>
      readFileSync(`/proc/self/net/${protocol}`, "utf8").split("\n").slice(1).map((line) =>
        line.trim().split(/\s+/)[9]
      )
    ),
  );
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return inodes.has(/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]);
    } catch {
      return false;
    }
  }).length;
}

/** Bytes that the program itself uses, of those that the runtime has taken from the system. */
function usedMemory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The resources of the process: threads, descriptors other than its standard ones, and memory. */
function usage() {
  const status = readFileSync("/proc/self/status", "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  const sockets = readdirSync("/proc/self/fd").filter((fd) => {
    const link = `/proc/self/fd/${fd}`;
    try {
      return existsSync(link) || readlinkSync(link).startsWith("socket:");
    } catch {
      return false;
    }
  }).length;
  return {
    threads: field("Threads"),
    descriptors: sockets,
    tcp: tcpSockets(),
    rssKiB: field("VmRSS"),
    usedKiB: usedMemory() / 1024,
    peers: livePeers(),
  };
}

/** The same without TCP connections: Bun's `fetch` keeps one idle for each of several concurrent requests. */
function usageBesideTcp() {
  const { tcp, descriptors, ...others } = usage();
  return { ...others, tcp, descriptors: descriptors - tcp };
}

interface Dials {
  readonly address: string;
  readonly options: DialOptions;
  readonly count: number;
  /** Dials before those that are measured. */
  readonly warmUp?: number;
  /** True if each makes a call, too. */
  readonly call?: boolean;
}

/** Dials and closes, one after the other. Returns the times until each had a channel, and until its first answer. */
async function dialInTurn({ address, options, count, warmUp = 0, call = false }: Dials) {
  const dialMs: number[] = [], answerMs: number[] = [], failures: string[] = [];
  for (let number = -warmUp; number < count; number++) {
    const began = performance.now();
    try {
      await using one = await dial(address, { ...options, logger: quiet });
      if (number >= 0) dialMs.push(performance.now() - began);
      if (call) await createClient(ProbeService, one).echo(bytes(64), { timeoutMs: 20_000 });
      if (number >= 0) answerMs.push(performance.now() - began);
    } catch (error) {
      failures.push(String(error));
    }
  }
  return { dialMs, answerMs, failures };
}

interface Aborting {
  readonly address: string;
  readonly options: DialOptions;
  readonly clients: number;
  readonly everyMs: number;
  readonly withinMs: number;
  readonly forMs: number;
}

/** Clients that each dial at an interval, and give the dial up a random moment later. */
async function abortDials({ address, options, clients, everyMs, withinMs, forMs }: Aborting) {
  const until = performance.now() + forMs;
  const counts = { aborted: 0, opened: 0 };
  const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  await Promise.all(Array.from({ length: clients }, async () => {
    await pause(Math.random() * everyMs);
    while (performance.now() < until) {
      const next = performance.now() + everyMs;
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(), Math.random() * withinMs);
      try {
        await using _ = await dial(address, { ...options, logger: quiet, signal: stop.signal });
        counts.opened++;
      } catch {
        counts.aborted++;
      }
      clearTimeout(timer);
      await pause(Math.max(0, next - performance.now()));
    }
  }));
  return counts;
}

/** Waits until the channel has lost its connection and has another, and returns the time between. */
async function reconnection(): Promise<number> {
  if (channel === undefined) throw new Error("there is no channel");
  const on = (type: "disconnected" | "connected") =>
    new Promise<number>((resolve) =>
      channel!.addEventListener(type, () => resolve(performance.now()), { once: true })
    );
  const lostAt = await on("disconnected");
  return await on("connected") - lostAt;
}

interface Soak {
  readonly address: string;
  readonly options: DialOptions;
  readonly warmUp: number;
  readonly rounds: number;
}

/** Collects garbage where the runtime allows it. */
function collect(): void {
  const { Bun, gc } = globalThis as unknown as { Bun?: { gc(synchronous: boolean): void }; gc?(): void };
  Bun?.gc(true);
  gc?.();
}

/** The resources of the process once everything closed is released. */
async function settledUsage(most = { threads: Infinity, descriptors: Infinity }, look = usage) {
  let least = look();
  // Runtimes keep idle threads for ten seconds.
  for (let looks = 0; looks < 80; looks++) {
    if (looks >= 20 && least.threads <= most.threads && least.descriptors <= most.descriptors) break;
    await new Promise((resolve) => setTimeout(resolve, 250));
    collect();
    const now = look();
    const descriptors = Math.min(least.descriptors, now.descriptors);
    least = { ...now, descriptors, threads: Math.min(least.threads, now.threads) };
  }
  return least;
}

await answerCommands(
  {
    async dial({ address, options }: { address: string; options: DialOptions }) {
      const began = performance.now();
      events = [];
      channel = undefined;
      channel = await dial(address, {
        ...options,
        logger: quiet,
        onEvent: (event: DialEvent) => {
          if (event.type === "progress") return;
          const detail = "error" in event ? event.error?.message : undefined;
          events.push({
            atMs: performance.now(),
            type: event.type,
            ...(detail === undefined ? {} : { detail }),
          });
        },
      });
      return {
        tookMs: performance.now() - began,
        kind: channel.kind,
        path: channel.path,
        timeline: channel.timeline,
      };
    },
    dialInTurn,
    abortDials,
    reconnection,
    /** Dials, expects a failure, and returns it. */
    async dialInVain({ address, options }: { address: string; options: DialOptions }) {
      const began = performance.now();
      try {
        await using _ = await dial(address, { ...options, logger: quiet });
      } catch (error) {
        return {
          tookMs: performance.now() - began,
          name: (error as Error).name,
          message: (error as Error).message,
          phase: (error as { phase?: string }).phase,
          timeline: (error as { timeline?: unknown }).timeline,
        };
      }
      throw new Error("the dial succeeded");
    },
    kinds: callEveryKind,
    path: () => channel?.path,
    state: () => channel?.state,
    /** Turns a wheel of the machine, until something stops it. */
    async turn() {
      if (channel === undefined) throw new Error("there is no channel");
      await createClient(WheelService, channel).turn({ name: "left" }, { timeoutMs: 20_000 });
    },
    echo: ({ timeoutMs = 20_000 }) => probe().echo(bytes(64), { timeoutMs }).then(() => true),
    /** Makes calls at an interval, whatever happens to the others. */
    steady({ everyMs, timeoutMs }: { everyMs: number; timeoutMs: number }) {
      outcomes = [];
      const open = new Set<Promise<void>>();
      const timer = setInterval(() => {
        const call = callOnce(timeoutMs).finally(() => open.delete(call));
        open.add(call);
      }, everyMs);
      steady = {
        async stop() {
          clearInterval(timer);
          await Promise.all(open);
        },
      };
    },
    now: () => performance.now(),
    /** Computes, and does nothing else. */
    compute({ forMs }: { forMs: number }) {
      const until = performance.now() + forMs;
      while (performance.now() < until);
    },
    /** Opens calls of every kind, and resolves when each has reached its step. */
    async inFlight() {
      inFlight = openCalls();
      await inFlight.begun;
    },
    /** Waits until all of them have ended. */
    inFlightEnded: () => inFlight?.ended,
    /** Begins a transfer that uses the whole bandwidth. */
    bulk({ direction }: { direction: "up" | "down" }) {
      const stop = new AbortController();
      let received = 0;
      const run = async () => {
        const client = probe();
        if (direction === "up") {
          await client.upload(several(1_000_000, 65_536), { signal: stop.signal });
          return;
        }
        const messages = client.download({ size: 65_536, count: 1_000_000 }, { signal: stop.signal });
        for await (const { data } of messages) received += data.length;
      };
      const running = run().catch(() => {});
      bulk = {
        async stop() {
          stop.abort();
          await running;
          return received;
        },
      };
    },
    bulkEnd: () => bulk?.stop(),
    transfer,
    /** Ends the steady calls, and returns the ending of each and the events meanwhile. */
    async outcomes() {
      await steady?.stop();
      steady = undefined;
      return { outcomes, events };
    },
    events: () => events,
    /** Waits until a call has succeeded, and returns the time it took. */
    async recover({ timeoutMs }: { timeoutMs: number }) {
      const began = performance.now();
      for (;;) {
        const left = timeoutMs - (performance.now() - began);
        if (left <= 0) throw new Error(`no call succeeded within ${timeoutMs} ms`);
        try {
          await probe().echo(bytes(64), { timeoutMs: Math.max(1, left) });
          return performance.now() - began;
        } catch (error) {
          if (channel?.state === "closed") throw error;
        }
      }
    },
    usage,
    /** Dials, calls and closes repeatedly, and returns the resources of the process before and after. */
    async soak({ address, options, warmUp, rounds }: Soak) {
      const round = async () => {
        await using one = await dial(address, { ...options, logger: quiet });
        await createClient(ProbeService, one).echo(bytes(64), { timeoutMs: 20_000 });
      };
      for (let count = 0; count < warmUp; count++) await round();
      const before = await settledUsage();
      const began = performance.now();
      for (let count = 0; count < rounds; count++) await round();
      const tookMs = performance.now() - began;
      return { before, after: await settledUsage(before), tookMs };
    },
    churn: (options: ChurnOptions) => churn(options, (most) => settledUsage(most, usageBesideTcp)),
    fleet: (options: FleetOptions) => callFleet(options, usage),
    async gatherHerd(options: HerdOptions) {
      herd = await gatherHerd(options);
    },
    herdBack: () => herd?.back(),
    herdCall: () => herd?.call(),
    herdClose: () => herd?.close(),
    async close() {
      const began = performance.now();
      await channel?.close();
      channel = undefined;
      return { tookMs: performance.now() - began, peers: livePeers() };
    },
  },
  "ready",
  async () => {
    await steady?.stop();
    await channel?.close();
  },
);
