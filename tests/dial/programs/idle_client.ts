/**
 * Holds direct channels to servers that send idle connections away: makes calls on each of them, says "idle", and does
 * so again for each line that it reads.
 *
 * idle_client.ts LANES CHANNELS, where LANES is the JSON of `IdleLane[]`, and CHANNELS how many each of them has
 */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { createInterface } from "node:readline";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { dial, type ViamChannel } from "../../../mod.ts";
import { ProbeService } from "../../../proto/gen/viam_dial/probe/v1/probe_pb.ts";

/** A server, and how it is called. */
export interface IdleLane {
  readonly address: string;
  readonly protocol: string;
  /** The file of the authority that it has its certificate from; without one it is called in cleartext. */
  readonly ca?: string;
}

/** A session dies more easily after some numbers of calls than after others. */
const CALLS = [1, 2, 3, 13];

/** A call that is made in the instant in which its connection ends may fail, and says so with `Unavailable`. */
async function surely(call: () => Promise<void>): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.Unavailable || attempt === 5) throw error;
    }
  }
}

async function open({ address, protocol, ca }: IdleLane): Promise<ViamChannel> {
  return await dial(address, {
    disableWebrtc: true,
    protocol: protocol as "auto" | "grpc",
    ...(ca === undefined ? { insecure: true } : { tls: { ca: await readFile(ca, "utf8") } }),
  });
}

async function callOften(channel: ViamChannel, times: number): Promise<void> {
  const probe = createClient(ProbeService, channel);
  for (let call = 0; call < times; call++) {
    await surely(async () => void await probe.echo({}));
    await surely(async () => {
      for await (const _ of probe.download({ count: 1 }));
    });
  }
}

const lanes: IdleLane[] = JSON.parse(process.argv[2]!);
const count = Number(process.argv[3]);
const channels = await Promise.all(lanes.flatMap((lane) => Array.from({ length: count }, () => open(lane))));
let round = 0;
async function callAll(): Promise<void> {
  const times = (index: number) => CALLS[(index + round) % CALLS.length]!;
  await Promise.all(channels.map((channel, index) => callOften(channel, times(index))));
  round++;
  console.log("idle");
}
await callAll();
for await (const _ of createInterface({ input: process.stdin })) await callAll();
await Promise.all(channels.map((channel) => channel.close()));
console.log("done");
