/**
 * Turns a wheel, by a session, and says so: `turn.ts ADDRESS webrtc|direct WHEEL AFTERWARDS`. Afterwards it "waits" for
 * ever, "computes" for 1.2 s at a time, says how long that took at most and waits, or "returns" without closing the
 * channel.
 */
import process from "node:process";
import { setImmediate } from "node:timers";
import { createClient } from "@connectrpc/connect";
import { dial } from "../../../mod.ts";
import { WheelService } from "../proto/gen/viam_dial/test/v1/wheel_pb.ts";
import { hang } from "./hang.ts";

const [address = "", path, name = "", afterwards] = process.argv.slice(2);
const channel = await dial(address, { insecure: true, disableWebrtc: path === "direct", session: true });
await createClient(WheelService, channel).turn({ name });
console.log("turning");

/**
 * Keeps the event loop from turning for so long, then lets it turn once: through its timers, and on to what they have left
 * to write, which Node writes after them. Returns how long that took in all.
 */
async function compute(milliseconds: number): Promise<number> {
  const start = performance.now();
  hang(milliseconds);
  await new Promise((resolve) => setTimeout(resolve, 0));
  await new Promise((resolve) => setImmediate(resolve));
  return performance.now() - start;
}

if (afterwards === "computes") {
  let longest = 0;
  for (let time = 1; time <= 5; time++) longest = Math.max(longest, await compute(1_200));
  console.log(longest);
}
if (afterwards !== "returns") {
  // Refers to the channel: one that nothing refers to any more is closed.
  setInterval(() => channel.state, 1_000);
}
