/** Relays to the port that it is given, says on which port, and computes for 3 s in one go. */

import process from "node:process";
import { openTurnBridge } from "../../lib/webrtc/turn_bridge.ts";

const relay = await openTurnBridge(
  { hostname: "127.0.0.1", port: Number(process.argv[2]), wire: "tcp" },
  () => {},
);
console.log(relay.port);
await new Promise((resolve) => setTimeout(resolve, 200));
const end = performance.now() + 3_000;
while (performance.now() < end);
await relay.close();
console.log("computed");
