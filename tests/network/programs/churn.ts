/** Dials, calls, aborts and closes in an order that a seed decides. */

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { dial, type DialOptions, type ViamChannel } from "../../../mod.ts";
import { ProbeService } from "../../../proto/gen/viam_dial/probe/v1/probe_pb.ts";

/** The settings: what is done, for how long, and how often. */
export interface ChurnOptions {
  readonly address: string;
  readonly options: DialOptions;
  readonly seed: number;
  /** Interval between actions, in milliseconds. */
  readonly everyMs: number;
  readonly forMs: number;
}

/** The resources of a process. */
interface Usage {
  readonly threads: number;
  readonly descriptors: number;
  readonly rssKiB: number;
  readonly peers: number;
}

/** Most channels at a time. */
const MOST = 12;

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/** Random numbers from 0 up to 1, the same for the same seed (mulberry32). */
function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Runs all of it, waits until everything has ended, and returns the endings and the resources of the process before and
 * after.
 */
export async function churn(
  given: ChurnOptions,
  settledUsage: (most?: { threads: number; descriptors: number }) => Promise<Usage>,
) {
  const { address, seed, everyMs, forMs } = given;
  const options = { ...given.options, logger: quiet };
  const random = chance(seed);
  const counts: Record<string, number> = {};
  /** The messages of the first failed dials. */
  const failures: string[] = [];
  const count = (what: string) => counts[what] = (counts[what] ?? 0) + 1;
  const channels = new Set<ViamChannel>();
  const underWay = new Set<Promise<void>>();
  const dialing = new Set<AbortController>(), calling = new Set<AbortController>();

  function follow(what: "dial" | "call" | "close", run: (signal: AbortSignal) => Promise<unknown>): void {
    const abort = new AbortController();
    const aborts = what === "dial" ? dialing : calling;
    if (what !== "close") aborts.add(abort);
    const done = run(abort.signal).then(
      () => void count(`${what}: done`),
      (error) => {
        // The message of a server with fifty waiting callers.
        if (/too many connection attempts/.test((error as Error).message)) {
          return void count(`${what}: refused`);
        }
        const code = error instanceof ConnectError ? Code[error.code] : (error as Error).name;
        count(`${what}: ${code}`);
        if (what === "dial" && code !== "AbortError" && failures.length < 3) {
          failures.push((error as Error).message);
        }
      },
    ).finally(() => {
      underWay.delete(done);
      aborts.delete(abort);
    });
    underWay.add(done);
  }

  function some<T>(all: ReadonlySet<T>): T | undefined {
    return [...all][Math.floor(random() * all.size)];
  }

  async function open(signal: AbortSignal): Promise<void> {
    channels.add(await dial(address, { ...options, signal }));
  }

  function call(channel: ViamChannel): void {
    const client = createClient(ProbeService, channel);
    const size = Math.floor(random() * 20_000);
    const kind = Math.floor(random() * 3);
    follow("call", async (signal) => {
      if (kind === 0) await client.echo({ data: new Uint8Array(size) }, { signal, timeoutMs: 20_000 });
      else if (kind === 1) {
        const request = { size: 1_000, count: 20, intervalMs: 10 };
        for await (const _ of client.download(request, { signal, timeoutMs: 20_000 }));
      } else {
        await client.upload(
          (async function* () {
            for (let index = 0; index < 20; index++) yield { data: new Uint8Array(size) };
          })(),
          { signal, timeoutMs: 20_000 },
        );
      }
    });
  }

  function step(): void {
    const dice = random();
    const channel = some(channels);
    if (channel === undefined || (dice < 0.2 && channels.size < MOST)) follow("dial", open);
    else if (dice < 0.65) call(channel);
    else if (dice < 0.8) {
      // Sometimes a dial that has just begun, or a call.
      const abort = some(random() < 0.1 ? dialing : calling);
      if (abort === undefined) return;
      count("abort");
      abort.abort(new DOMException("churn", "AbortError"));
    } else {
      count("close");
      channels.delete(channel);
      follow("close", () => channel.close());
    }
  }

  async function run(milliseconds: number): Promise<void> {
    const until = performance.now() + milliseconds;
    while (performance.now() < until) {
      step();
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    for (const channel of channels) follow("close", () => channel.close());
    channels.clear();
    while (underWay.size > 0) await Promise.all(underWay);
    // Channels that were dialed meanwhile.
    await Promise.all(Array.from(channels, (channel) => channel.close()));
    channels.clear();
  }

  await run(Math.min(10_000, forMs / 4));
  const before = await settledUsage();
  await run(forMs);
  return { before, after: await settledUsage(before), counts, failures };
}
