/** Dials many machines at once and asks each the same question. An absent machine does not delay the others. */
import { createClient } from "@connectrpc/connect";
import { dial, DialError } from "@viam-dial/dial";
import { RobotService } from "@viam-dial/dial/testing";
import { findRobot } from "./robot.ts";

await using fleet = new AsyncDisposableStack();
const robots = await Promise.all(Array.from({ length: 5 }, findRobot));
for (const robot of robots) fleet.use(robot);
const gone = { address: "127.0.0.1:1", options: { insecure: true } };

const answers = await Promise.allSettled([...robots, gone].map(async ({ address, options }) => {
  const machine = fleet.use(await dial(address, { ...options, timeoutMs: 5_000 }));
  const { resources } = await createClient(RobotService, machine).resourceNames({}, { timeoutMs: 5_000 });
  return `${machine.path.kind}: ${resources.map(({ name }) => name).join(", ")}`;
}));
for (const answer of answers) {
  if (answer.status === "fulfilled") console.log(answer.value);
  else if (answer.reason instanceof DialError) console.log("not there:", answer.reason.message);
  else throw answer.reason;
}
