/**
 * Dials a machine directly, and lets its connection fall silent: `silent_connection.ts '[[COMMAND, ARGUMENT…]…]'`. Then
 * runs each command in turn, or waits to be stopped and continued where there are none, and prints, as soon as the
 * channel has asked the machine whether it is there, the answer to a call and the connections so far.
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { EchoService, startMachine } from "../../../lib/testing/mod.ts";
import { dialDirect } from "../../../mod.ts";
import { startRelay } from "../../calls/relay.ts";

const commands: string[][] = JSON.parse(process.argv[2] ?? "[]");
await using machine = await startMachine({ auth: "none" });
await using relay = await startRelay(machine.port);
await using channel = await dialDirect(relay.address, { insecure: true });
const { echo } = createClient(EchoService, channel);
await echo({ message: "hello" });
for (const command of commands.length > 0 ? commands : [undefined]) {
  relay.silence();
  const asked = relay.sentInVain();
  if (command === undefined) console.log("silent");
  else spawnSync(command[0]!, command.slice(1), { stdio: "inherit" });
  await asked;
  const { message } = await echo({ message: "again" }, { timeoutMs: 5_000 });
  console.log(message, relay.connections);
}
