/** Runs an embedded machine in a process of its own, until its input ends. */

import process from "node:process";
import { startMachine } from "../../lib/testing/mod.ts";

await using machine = await startMachine({ auth: "none" });
console.log(machine.address);
for await (const _ of process.stdin) void _;
