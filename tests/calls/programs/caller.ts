/** A caller in a process of its own: dials the address that it is given, keeps a call open or none, and waits. */

import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { dial } from "../../../mod.ts";
import { ProbeService } from "../../../proto/gen/viam_dial/probe/v1/probe_pb.ts";

const [address = "", calling = "", token = ""] = process.argv.slice(2);
const channel = await dial(address, { insecure: true });
const probe = createClient(ProbeService, channel);
await probe.echo({});
if (calling === "calling") {
  const messages = probe.hang({}, { headers: { "x-witness": token } })[Symbol.asyncIterator]();
  await messages.next();
  void messages.next();
}
console.log("dialed");
setInterval(() => {}, 60_000);
