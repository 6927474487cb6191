/** Streams the ticks of a wheel's encoder, and draws its speed in the terminal. */
import { createClient } from "@connectrpc/connect";
import { dial } from "@viam-dial/dial";
import { BoardService } from "./proto/gen/viam/component/board/v1/board_pb.ts";
import { findRobot } from "./robot.ts";

const LINES = 24, TICKS_PER_TURN = 100, FULL_SCALE_RPM = 160, WIDTH = 50;

await using robot = await findRobot();
await using machine = await dial(robot.address, robot.options);

/** Ends the call. Leaving the loop does not: Connect's clients do not tell the machine. */
const enough = new AbortController();
const ticks = createClient(BoardService, machine).streamTicks(
  { name: "local", pinNames: ["encoder"] },
  { signal: enough.signal },
);

let before: bigint | undefined, drawn = 0;
for await (const { time } of ticks) {
  if (before !== undefined) {
    const rpm = 60e9 / Number(time - before) / TICKS_PER_TURN;
    const bar = "█".repeat(Math.min(WIDTH, Math.round(rpm / FULL_SCALE_RPM * WIDTH)));
    console.log(`${rpm.toFixed(0).padStart(4)} rpm ${bar}`);
    if (++drawn === LINES) break;
  }
  before = time;
}
enough.abort();
