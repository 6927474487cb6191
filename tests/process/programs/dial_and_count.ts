/** Tells, line by line, how often the engine of WebRTC is mapped: at the start, after a direct and a WebRTC dial. */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { dial } from "../../../mod.ts";

async function count(): Promise<void> {
  const maps = await readFile("/proc/self/maps", "utf8");
  console.log(maps.split("\n").filter((line) => line.includes("node_datachannel")).length);
}

await count();
for (const disableWebrtc of [true, false]) {
  await using _channel = await dial(process.argv[2]!, { insecure: true, disableWebrtc });
  await count();
}
