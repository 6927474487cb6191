/**
 * Drops channels, collects garbage, and reports what became of them. What is still open then ends with the machine. Run
 * by collected_test.ts.
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

let warnings = 0;

function open(options: DialOptions = {}): Promise<ViamChannel> {
  return dial(address, {
    ...DialOptions.withApiKey(apiKey, apiKeyId),
    insecure: true,
    maxReconnectAttempts: 0,
    ...options,
    logger: { warn: (message) => /nobody closed/.test(message) && warnings++ },
  });
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
const enough = () => warnings >= LOST - STAYING;

const scenarios: Record<string, () => Promise<string>> = {
  async "lost channels over WebRTC"() {
    await (async () => {
      for (let count = 0; count < LOST; count++) await open();
    })();
    const before = livePeers();
    await collectFor(4_000, () => enough() && livePeers() <= STAYING);
    return `${before} peers, then ${livePeers() <= STAYING ? "few" : livePeers()}; ${
      enough() ? "warned" : `${warnings} warnings`
    }`;
  },
  async "lost direct channels"() {
    await (async () => {
      for (let count = 0; count < LOST; count++) await open({ disableWebrtc: true });
    })();
    await collectFor(4_000, enough);
    return enough() ? "warned" : `${warnings} warnings`;
  },
  async "closed channels"() {
    await (async () => {
      for (let count = 0; count < LOST; count++) await (await open()).close();
    })();
    await collectFor(20);
    return `${livePeers()} peers; ${warnings} warnings`;
  },
  async "a client"() {
    const client = createClient(EchoService, await open());
    await collectFor(20);
    const { message } = await client.echo({ message: "still here" });
    return `${message}; ${warnings} warnings`;
  },
  async "the channel of the channel"() {
    const channel = (await open()).channel;
    await collectFor(20);
    const { message } = await createClient(EchoService, channel).echo({ message: "still here" });
    return `${message}; ${warnings} warnings`;
  },
  async "streams that were broken off"() {
    const channel = await open();
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
    return `${left} listeners; ${warnings} warnings`;
  },

  async "a stream"() {
    const stop = new AbortController();
    const answers = await (async () => {
      const client = createClient(ProbeService, await open());
      return client.download({ size: 10, count: 60, intervalMs: 5 }, { signal: stop.signal });
    })();
    let count = 0;
    for await (const _ of answers) {
      count++;
      collect();
    }
    return `${count} messages; ${warnings} warnings`;
  },
  async "a call"() {
    const stop = new AbortController();
    const call =
      (async () => await createClient(ProbeService, await open()).hangUnary({}, { signal: stop.signal }))();
    const outcome = call.then(() => "answered", (error) => String(error));
    await collectFor(20);
    const { warnings: before } = { warnings };
    stop.abort(new Error("enough"));
    return `${before} warnings; ${await outcome}`;
  },
  async "closed and events"() {
    const closed = (await open()).closed;
    const events = (await open()).events();
    await collectFor(20);
    const { warnings: before } = { warnings };
    const left = events.return!();
    return `${before} warnings; ${(await left).done}, ${closed instanceof Promise}`;
  },
  async "a listener"() {
    (await open()).addEventListener("closed", () => {});
    await collectFor(20);
    return `${warnings} warnings`;
  },
};

console.log(await scenarios[scenario]!());
