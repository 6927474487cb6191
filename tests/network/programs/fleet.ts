/** Calls many machines at once, each on a channel of its own. */

import { createClient } from "@connectrpc/connect";
import { dial, type DialOptions, type ViamChannel } from "../../../mod.ts";
import { ProbeService } from "../../../proto/gen/viam_dial/probe/v1/probe_pb.ts";

/** The machines to call, and the number of calls. */
export interface FleetOptions {
  readonly addresses: readonly string[];
  readonly options: DialOptions;
  /** Pause between two calls on a channel, in milliseconds. */
  readonly everyMs: number;
  readonly forMs: number;
}

/** Most dials at a time. */
const AT_ONCE = 8;

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/** Dials every machine, makes that many calls to each, and returns the results. */
export async function callFleet<T>({ addresses, options, everyMs, forMs }: FleetOptions, usage: () => T) {
  const before = usage();
  const channels: ViamChannel[] = [];
  const left = [...addresses];
  const began = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let address = left.pop(); address !== undefined; address = left.pop()) {
      channels.push(await dial(address, { ...options, logger: quiet }));
    }
  }));
  const dialedMs = performance.now() - began;
  const times: number[] = [];
  let failed = 0;
  const until = performance.now() + forMs;
  const request = { data: new Uint8Array(64) };
  await Promise.all(channels.map(async (channel, index) => {
    const client = createClient(ProbeService, channel);
    await new Promise((resolve) => setTimeout(resolve, (index / channels.length) * everyMs));
    const calls: Promise<void>[] = [];
    while (performance.now() < until) {
      const madeMs = performance.now();
      calls.push(
        client.echo(request, { timeoutMs: 20_000 }).then(
          () => void times.push(performance.now() - madeMs),
          () => void failed++,
        ),
      );
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, madeMs + everyMs - performance.now())));
    }
    await Promise.all(calls);
  }));
  const during = usage();
  const closing = performance.now();
  await Promise.all(channels.map((channel) => channel.close()));
  times.sort((one, other) => one - other);
  const at = (share: number) => times[Math.floor(share * (times.length - 1))] ?? NaN;
  return {
    before,
    during,
    dialedMs,
    closedMs: performance.now() - closing,
    calls: times.length,
    failed,
    medianMs: at(0.5),
    p99Ms: at(0.99),
    longestMs: at(1),
  };
}

/** Clients of one machine. */
export interface HerdOptions {
  readonly address: string;
  readonly options: DialOptions;
  readonly count: number;
}

/** Many channels to one machine, and the times of their reconnects. */
export interface Herd {
  /** Resolves when each has lost its connection and has another, with the times at which they had. */
  back(): Promise<number[]>;
  /** Makes a call on each, and returns how many failed. */
  call(): Promise<number>;
  close(): Promise<void>;
}

/** Dials a machine so many times. */
export async function gatherHerd({ address, options, count }: HerdOptions): Promise<Herd> {
  const channels: ViamChannel[] = [];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (channels.length < count) {
      const channel = await dial(address, { ...options, logger: quiet });
      channels.push(channel);
    }
  }));
  const times = channels.map((channel) =>
    new Promise<number>((resolve, reject) => {
      channel.addEventListener("connected", () => resolve(performance.now()), { once: true });
      channel.addEventListener("closed", () => reject(new Error("a channel closed")), { once: true });
    })
  );
  for (const time of times) time.catch(() => {});
  return {
    back: () => Promise.all(times),
    async call() {
      const calls = channels.map((channel) =>
        createClient(ProbeService, channel).echo({ data: new Uint8Array(64) }, { timeoutMs: 20_000 })
      );
      return (await Promise.allSettled(calls)).filter(({ status }) => status === "rejected").length;
    },
    async close() {
      await Promise.all(channels.map((channel) => channel.close()));
    },
  };
}
