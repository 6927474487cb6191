/**
 * Holds direct channels to a server that sends idle connections away, and calls again after each time that it has.
 *
 * idle_client.ts ADDRESS PROTOCOL CHANNELS ROUNDS IDLE_MS [CA]
 */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { dial, type DialOptions } from "../../../mod.ts";
import { ProbeService } from "../../../proto/gen/viam_dial/probe/v1/probe_pb.ts";

const [address = "", protocol, channels, rounds, idleMs, ca] = process.argv.slice(2);

/** A session dies more easily after some numbers of calls than after others. */
const CALLS = [1, 2, 3, 13];

const options: DialOptions = {
  disableWebrtc: true,
  protocol: protocol as "auto" | "grpc",
  ...(ca === undefined ? { insecure: true } : { tls: { ca: await readFile(ca, "utf8") } }),
};

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

async function hold(index: number): Promise<void> {
  await using channel = await dial(address, options);
  const probe = createClient(ProbeService, channel);
  for (let round = 0; round < Number(rounds); round++) {
    for (let call = 0; call < CALLS[(index + round) % CALLS.length]!; call++) {
      await surely(async () => void await probe.echo({}));
      await surely(async () => {
        for await (const _ of probe.download({ count: 1 }));
      });
    }
    // Past the moment at which the server sends the connection away.
    await delay(Number(idleMs));
  }
  await surely(async () => void await probe.echo({}));
}

await Promise.all(Array.from({ length: Number(channels) }, (_, index) => hold(index)));
console.log("done");
