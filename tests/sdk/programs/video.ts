/** Asks for a camera's video, and says whether the process outlives the SDK's own wait for it: `video.ts ADDRESS MILLISECONDS`. */
import process from "node:process";
import * as VIAM from "@viamrobotics/sdk";
import { robotClient } from "../../../lib/sdk/mod.ts";
import { dialDirect } from "../../../mod.ts";

const [address = "", milliseconds] = process.argv.slice(2);
await using machine = await dialDirect(address, { insecure: true });
const stream = new VIAM.StreamClient(robotClient(machine, VIAM));
// The SDK waits 5 s.
Object.assign(stream, { STREAM_TIMEOUT: Number(milliseconds) });
await stream.getStream("rover:camera").catch((error) => console.log(String(error)));
await new Promise((resolve) => setTimeout(resolve, 2 * Number(milliseconds)));
console.log("alive");
