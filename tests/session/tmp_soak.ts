import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { dial } from "../../mod.ts";
import { WheelService } from "./proto/gen/viam_dial/test/v1/wheel_pb.ts";
import { startWheelMachine } from "./wheel.ts";
const seconds = Number(process.argv[2] ?? 60);
const everyMs = Number(process.argv[3] ?? 2000);
await using wheel = await startWheelMachine();
await using channel = await dial(wheel.machine.address, {
  insecure: true,
  session: true,
  maxReconnectAttempts: 50,
  logger: { warn: (l: string, f: unknown) => console.log(Math.round(performance.now()), l, f) },
});
const wheels = createClient(WheelService, channel);
await wheels.turn({ name: "left" });
let lost = 0;
const gaps: number[] = [];
channel.addEventListener("disconnected", () => lost = performance.now());
channel.addEventListener("connected", () => gaps.push(performance.now() - lost));
const end = performance.now() + seconds * 1000;
let stops = 0;
while (performance.now() < end) {
  await new Promise((r) => setTimeout(r, everyMs));
  if (wheel.turning.size === 0) {
    stops++;
    console.log("STOPPED", Math.round(performance.now()));
    await wheels.turn({ name: "left" });
  }
  wheel.machine.dropConnections();
}
gaps.sort((a, b) => a - b);
console.log({
  n: gaps.length,
  median: gaps[gaps.length >> 1],
  max: gaps.at(-1),
  stops,
  ids: new Set(wheel.ids).size,
});
