/**
 * Drops channels, collects garbage, and reports what became of them. What is still open then ends with the machine. Run
 * by collected_test.ts.
 *
 * collected_program.ts ADDRESS API_KEY API_KEY_ID SCENARIO, where SCENARIO is one of `lost`, or "kept": all of `kept`
 * beside each other, reported as JSON
 */

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { livePeers } from "../../lib/webrtc/peer.ts";
import { EchoService } from "../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { dial, DialOptions, type ViamChannel } from "../../mod.ts";
import { RUNTIME } from "../../lib/runtime/runtime.ts";

const [address = "", apiKey = "", apiKeyId = "", scenario = ""] = process.argv.slice(2);

const collect: () => void = RUNTIME === "bun"
  ? () => (globalThis as unknown as { Bun: { gc(force: boolean): void } }).Bun.gc(true)
  : (globalThis as unknown as { gc(): void }).gc;

/** Channels of one scenario, and how many of them were closed with a warning. */
class Channels {
  warnings = 0;

  open(options: DialOptions = {}): Promise<ViamChannel> {
    return dial(address, {
      ...DialOptions.withApiKey(apiKey, apiKeyId),
      insecure: true,
      maxReconnectAttempts: 0,
      ...options,
      logger: { warn: (message) => /nobody closed/.test(message) && this.warnings++ },
    });
  }
}

/** Collects for a while, because each turn of the event loop has another stack. */
async function collectFor(turns: number, until: () => boolean = () => false): Promise<void> {
  for (let turn = 0; turn < turns && !until(); turn++) {
    collect();
    await sleep(5);
  }
}

const LOST = 8;

/** The engines scan stacks and registers, so some of many objects may stay for a while. */
const STAYING = 4;

type Lost = (channels: Channels) => Promise<string>;

const lost: Record<string, Lost> = {
  async "lost channels over WebRTC"(channels) {
    const enough = () => channels.warnings >= LOST - STAYING;
    await (async () => {
      for (let count = 0; count < LOST; count++) await channels.open();
    })();
    const before = livePeers();
    await collectFor(4_000, () => enough() && livePeers() <= STAYING);
    return `${before} peers, then ${livePeers() <= STAYING ? "few" : livePeers()}; ${
      enough() ? "warned" : `${channels.warnings} warnings`
    }`;
  },
  async "lost direct channels"(channels) {
    const enough = () => channels.warnings >= LOST - STAYING;
    await (async () => {
      for (let count = 0; count < LOST; count++) await channels.open({ disableWebrtc: true });
    })();
    await collectFor(4_000, enough);
    return enough() ? "warned" : `${channels.warnings} warnings`;
  },
  async "streams that were broken off"(channels) {
    const channel = await channels.open();
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    Object.assign(signal, {
      addEventListener(...args: Parameters<typeof addEventListener>) {
        listeners++;
        addEventListener.apply(signal, args);
      },
      removeEventListener(...args: Parameters<typeof removeEventListener>) {
        listeners--;
        removeEventListener.apply(signal, args);
      },
    });
    const { hang } = createClient(ProbeService, channel);
    const breakOff = async () => {
      for await (const _ of hang({}, { signal })) break;
    };
    await Promise.all(Array.from({ length: LOST }, breakOff));
    await collectFor(400, () => listeners <= STAYING);
    const left = listeners <= STAYING ? "few" : String(listeners);
    await channel.close();
    return `${left} listeners; ${channels.warnings} warnings`;
  },
};

/** Opens channels and keeps a part of them; what it returns says, after a collection, what has become of them. */
type Kept = (channels: Channels) => Report | Promise<Report>;
type Report = () => string | Promise<string>;

const kept: Record<string, Kept> = {
  async "closed channels"(channels) {
    for (let count = 0; count < LOST; count++) await (await channels.open()).close();
    await collectFor(20, () => livePeers() === 0);
    const peers = livePeers();
    return () => `${peers} peers; ${channels.warnings} warnings`;
  },
  async "a client"(channels) {
    const client = createClient(EchoService, await channels.open());
    return async () => {
      const { message } = await client.echo({ message: "still here" });
      return `${message}; ${channels.warnings} warnings`;
    };
  },
  async "the channel of the channel"(channels) {
    const channel = (await channels.open()).channel;
    return async () => {
      const { message } = await createClient(EchoService, channel).echo({ message: "still here" });
      return `${message}; ${channels.warnings} warnings`;
    };
  },
  async "a stream"(channels) {
    const stop = new AbortController();
    const answers = await (async () => {
      const client = createClient(ProbeService, await channels.open());
      return client.download({ size: 10, count: 150, intervalMs: 5 }, { signal: stop.signal });
    })();
    return async () => {
      let count = 0;
      for await (const _ of answers) {
        if (++count % 8 === 0) collect();
      }
      return `${count} messages; ${channels.warnings} warnings`;
    };
  },
  "a call"(channels) {
    const stop = new AbortController();
    const call =
      (async () =>
        await createClient(ProbeService, await channels.open()).hangUnary({}, { signal: stop.signal }))();
    const outcome = call.then(() => "answered", (error) => String(error));
    return async () => {
      const before = channels.warnings;
      stop.abort(new Error("enough"));
      return `${before} warnings; ${await outcome}`;
    };
  },
  async "closed and events"(channels) {
    const closed = (await channels.open()).closed;
    const events = (await channels.open()).events();
    return async () => {
      const before = channels.warnings;
      const left = events.return!();
      return `${before} warnings; ${(await left).done}, ${closed instanceof Promise}`;
    };
  },
  async "a listener"(channels) {
    (await channels.open()).addEventListener("closed", () => {});
    return () => `${channels.warnings} warnings`;
  },
};

if (scenario === "kept") {
  const reports: [name: string, report: Report][] = [];
  for (const [name, keep] of Object.entries(kept)) reports.push([name, await keep(new Channels())]);
  await collectFor(20);
  const said: Record<string, string> = {};
  for (const [name, report] of reports) said[name] = await report();
  console.log(JSON.stringify(said));
} else {
  console.log(await lost[scenario]!(new Channels()));
}
