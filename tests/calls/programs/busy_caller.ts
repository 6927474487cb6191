/** A caller that computes for 8 s in one go, calls again, and waits, connected. */

import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { dial } from "../../../mod.ts";
import { ProbeService } from "../../../proto/gen/viam_dial/probe/v1/probe_pb.ts";

const channel = await dial(process.argv[2]!, { insecure: true, maxReconnectAttempts: 0 });
const probe = createClient(ProbeService, channel);
await probe.echo({});
console.log("busy");
await new Promise((resolve) => setTimeout(resolve, 100));
const end = performance.now() + 8_000;
while (performance.now() < end);
await probe.echo({});
console.log("still connected");
setInterval(() => {}, 60_000);
