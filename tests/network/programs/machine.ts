/** A machine, or a signaling server for others: `startMachine` with the options that the program is started with. */

import { startMachine } from "../../../lib/testing/mod.ts";
import { answerCommands, startedWith } from "./answer.ts";

const machine = await startMachine(startedWith());
await answerCommands(
  { connections: () => machine.connections, calls: () => machine.calls },
  { address: machine.address, port: machine.port },
  () => machine.close(),
);
