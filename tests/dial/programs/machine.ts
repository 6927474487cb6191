/** A machine in a process of its own, on a port of one's choice: machine.ts PORT. Prints its address. */

import process from "node:process";
import { startMachine } from "../../../lib/testing/mod.ts";

const machine = await startMachine({ auth: "none", port: Number(process.argv[2] ?? 0) });
console.log(machine.address);
