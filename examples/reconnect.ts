/** Shows a lost connection: the channel stays, and its connection is replaced. `reconnect.ts [SECONDS]` */
import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { dial } from "@viam-dial/dial";
import { SensorService } from "./proto/gen/viam/component/sensor/v1/sensor_pb.ts";
import { findRobot } from "./robot.ts";

await using robot = await findRobot();
await using machine = await dial(robot.address, { ...robot.options, maxReconnectAttempts: Infinity });
const sensors = createClient(SensorService, machine); // before and after

machine.addEventListener("disconnected", () => console.log("lost"));
machine.addEventListener("reconnecting", ({ detail }) => console.log(`attempt ${detail.attempt}`));
machine.addEventListener("connected", ({ detail }) => console.log(`back, by ${detail.kind}`));

console.log("before", (await sensors.getReadings({ name: "thermometer" })).readings["celsius"]?.kind.value);
const back = Promise.withResolvers<void>();
const patience = setTimeout(back.resolve, 1_000 * Number(process.argv[2] ?? 30));
machine.addEventListener("connected", () => back.resolve(), { once: true });
robot.cut(); // of a machine of your own, pull the network cable now: this waits for 30 seconds
await back.promise;
clearTimeout(patience);
console.log("after", (await sensors.getReadings({ name: "thermometer" })).readings["celsius"]?.kind.value);
