/** Dials a machine as its argument says, makes a call, and prints the kind of the path as JSON. */
import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { dial, type DialOptions } from "../../../mod.ts";
import { EchoService } from "../../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";

const { address, options } = JSON.parse(process.argv[2]!) as { address: string; options: DialOptions };
await using channel = await dial(address, options);
const { message } = await createClient(EchoService, channel).echo({ message: "hello" });
console.log(JSON.stringify({ message, kind: channel.kind }));
