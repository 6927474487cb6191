/**
 * Echoes payloads over WebRTC, between two of the engine, in a network namespace whose packets have so many bytes at
 * most. Run by narrow_path_test.ts.
 */

import { execFileSync } from "node:child_process";
import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { dial } from "../../mod.ts";

const [bytes = "1500"] = process.argv.slice(2);
const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };
// Another address than the loopback's, which the engine does not use; packets to it go over the loopback, too.
const ADDRESS = "10.77.0.1";
for (
  const command of [
    `link set lo mtu ${bytes} up`,
    "link add one type veth peer name other",
    `address add ${ADDRESS}/24 dev one`,
    "link set one up",
    "link set other up",
  ]
) execFileSync("ip", command.split(" "), { env });
const machine = await startMachine({ hostname: ADDRESS, auth: "none" });
const channel = await dial(machine.address, { insecure: true });
const probe = createClient(ProbeService, channel);
for (const size of [2_000, 60_000]) {
  const { data } = await probe.echo({ data: new Uint8Array(size) }, { timeoutMs: 5_000 });
  console.log(data.length);
}
await channel.close();
await machine.close();
