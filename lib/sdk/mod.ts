/**
 * The clients of the official TypeScript SDK, `@viamrobotics/sdk`, on a channel of this module: for every component and
 * service, on Deno, Bun and Node.
 *
 * @example
 * ```ts
 * import * as VIAM from "@viamrobotics/sdk";
 * import { dial, DialOptions } from "@viam-dial/dial";
 * import { robotClient } from "@viam-dial/dial/sdk";
 *
 * const options = DialOptions.withApiKey("<API-KEY>", "<API-KEY-ID>");
 * await using machine = await dial("my-robot-main.abcdef.viam.cloud", options);
 * const robot = robotClient(machine, VIAM);
 *
 * console.log(await new VIAM.SensorClient(robot, "thermometer").getReadings());
 * ```
 *
 * @module
 */
export { robotClient } from "./robot_client.ts";
export type { OfficialSdk } from "./robot_client.ts";
