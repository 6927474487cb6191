/** Makes an offer when this process can open no more files, by itself and in a dial. Run by candidates_test.ts. */

import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { startMachine } from "../../lib/testing/mod.ts";
import { loadEngine } from "../../lib/webrtc/peer.ts";
import { dial } from "../../mod.ts";
import { listener } from "./listener.ts";

process.on("SIGUSR2", () => {}); // Deno opens a file for the first signal

const files: number[] = [];
/** Opens all files but some. */
function openFiles(spare: number): void {
  try {
    for (;;) files.push(openSync("/dev/null", "r"));
  } catch {
    closeFiles(spare);
  }
}
function closeFiles(count: number): void {
  for (const file of files.splice(0, count)) closeSync(file);
}

const engine = await loadEngine();
const peer = engine.createPeer({ iceServers: [] }, listener({}));
openFiles(0);
try {
  peer.offer();
  console.log("offered");
} catch {
  console.log("refused");
}
closeFiles(files.length);
await peer.close();

const machine = await startMachine({ auth: "none" });
const dialing = dial(machine.address, {
  insecure: true,
  mdns: false,
  initialAttempts: 1,
  onEvent(event) {
    // One for the look at this computer's addresses.
    if (event.type === "progress" && event.entry.phase === "engine") openFiles(1);
  },
});
const error = await dialing.then(() => undefined, (error) => error);
closeFiles(files.length);
console.log(`${error?.name} in phase ${error?.phase}`);
await (await dial(machine.address, { insecure: true })).close();
await machine.close();
console.log("closed");
process.exit();
