/** A machine, or a signaling server for others: `startMachine` with the options that the program is started with. */

import { startMachine } from "../../../lib/testing/mod.ts";
import { createWheels } from "../../session/wheel.ts";
import { answerCommands, startedWith } from "./answer.ts";

const wheels = createWheels();
const machine = await startMachine({ routes: wheels.routes, ...startedWith() });
await answerCommands(
  {
    connections: () => machine.connections,
    calls: () => machine.calls,
    callsTo: ({ path }: { path: string }) => machine.callsTo(path),
    turning: () => [...wheels.turning],
    /** The ids of the sessions that have turned a wheel. */
    sessions: () => [...new Set(wheels.ids)],
    stopped: () => wheels.stopped("left"),
    dropConnections: () => machine.dropConnections(),
  },
  { address: machine.address, port: machine.port },
  () => machine.close(),
);
