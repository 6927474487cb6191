/**
 * Reads a sensor and turns a motor by the typed clients of the official SDK, `@viamrobotics/sdk`. They keep a session: if
 * this program is killed, the machine stops the motor.
 */
import * as VIAM from "@viamrobotics/sdk";
import { dial } from "@viam-dial/dial";
import { robotClient } from "@viam-dial/dial/sdk";
import { findRobot } from "./robot.ts";

await using robot = await findRobot();
await using machine = await dial(robot.address, robot.options);
const client = robotClient(machine, VIAM);

for (const { subtype, name } of await client.resourceNames()) console.log(subtype, name);

const thermometer = new VIAM.SensorClient(client, "thermometer");
console.log("celsius", (await thermometer.getReadings({}, { timeoutMs: 5_000 }))["celsius"]);

const wheel = new VIAM.MotorClient(client, "wheel");
try {
  await wheel.goFor(600, 1); // rpm, revolutions: takes 100 ms
  console.log(`turned to ${Math.round(await wheel.getPosition())}`);
} finally {
  await wheel.stop();
}
