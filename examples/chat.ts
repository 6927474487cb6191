/** Talks both ways at once: your lines go out while the answers, one letter a message, come in. */
import process from "node:process";
import { createInterface } from "node:readline/promises";
import { createClient } from "@connectrpc/connect";
import { dial } from "@viam-dial/dial";
import { EchoService } from "@viam-dial/dial/testing";
import { findRobot } from "./robot.ts";

await using robot = await findRobot();
await using machine = await dial(robot.address, robot.options);

async function* lines() {
  for await (const message of createInterface({ input: process.stdin })) yield { message: `${message}\n` };
}

let answer = "machine: ";
for await (const { message } of createClient(EchoService, machine).echoBiDi(lines())) {
  answer += message;
  if (message !== "\n") continue;
  process.stdout.write(answer);
  answer = "machine: ";
}
console.log("bye"); // the input has ended, and so has the call
