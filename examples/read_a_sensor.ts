/** Reads a sensor once: `deno run -NRE --allow-ffi examples/read_a_sensor.ts`, or `bun examples/read_a_sensor.ts`. */
import { createClient } from "@connectrpc/connect";
import { dial } from "@viam-dial/dial";
import { SensorService } from "./proto/gen/viam/component/sensor/v1/sensor_pb.ts";
import { findRobot } from "./robot.ts";

await using robot = await findRobot();
await using machine = await dial(robot.address, robot.options);
const sensors = createClient(SensorService, machine);

const { readings } = await sensors.getReadings({ name: "thermometer" }, { timeoutMs: 5_000 });
for (const [name, { kind }] of Object.entries(readings)) console.log(name, kind.value);
