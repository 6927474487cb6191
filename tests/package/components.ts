// What a user of the official clients writes against the installed package; it is compiled before it runs.
import { dial, DialOptions } from "@viam-dial/dial";
import { robotClient } from "@viam-dial/dial/sdk";
import { startMachine } from "@viam-dial/dial/testing";
import * as VIAM from "@viamrobotics/sdk";

await using robot = await startMachine();
const options = DialOptions.withApiKey(robot.apiKey, robot.apiKeyId, { insecure: true });
await using machine = await dial(robot.address, options);
const client: VIAM.RobotClient = robotClient(machine, VIAM);
console.log((await client.resourceNames()).map(({ name }) => name).join(" "));
