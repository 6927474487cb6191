/**
 * Starts a machine and dials it, both in this process, and prints how: `start_and_dial.ts '{"machine": …, "host": …,
 * "options": …}'`.
 */
import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { EchoService, startMachine } from "../../../lib/testing/mod.ts";
import { dial } from "../../../mod.ts";

const { machine: machineOptions, host, options } = JSON.parse(process.argv[2]!);
await using machine = await startMachine({ auth: "none", ...machineOptions });
const address = host === undefined ? machine.address : `${host}:${machine.address.split(":").at(-1)}`;
try {
  await using channel = await dial(address, { insecure: true, timeoutMs: 8_000, ...options });
  const { message } = await createClient(EchoService, channel).echo({ message: "hello" });
  console.log(JSON.stringify({ message, kind: channel.kind, path: channel.path }));
} catch (error) {
  console.log(JSON.stringify({ message: (error as Error).message }));
}
