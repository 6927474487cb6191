/** Many machines in one process, each on a port of its own. */

import { type Machine, startMachine } from "../../../lib/testing/mod.ts";
import { answerCommands, startedWith } from "./answer.ts";

const { count, ...options } = startedWith();
const machines: Machine[] = [];
for (let number = 0; number < count; number++) machines.push(await startMachine(options));
await answerCommands(
  { connections: () => machines.reduce((sum, { connections }) => sum + connections, 0) },
  { ports: machines.map(({ port }) => port) },
  async () => {
    await Promise.all(machines.map((machine) => machine.close()));
  },
);
