/**
 * Keeps the runtime's pool of threads busy, as name look-ups that hang do, and dials: whatever the dial loads only then
 * is not read from disk. Prints how long the dial took, in milliseconds, and what it failed with, in which phase.
 *
 * busy_pool.ts ADDRESS FOLDER OPTIONS
 *
 * Without an address, it opens and closes a way to a TURN server instead.
 */
import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { open } from "node:fs/promises";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { dial, DialError, type DialOptions } from "../../../mod.ts";

/** Opens and closes a way to a TURN server. */
async function relay(): Promise<string> {
  const { openTurnRelay } = await relayModule!;
  const opened = await openTurnRelay({ wire: "udp", hostname: "turn.invalid", port: 3478 }, () => {});
  await delay(50);
  await opened.close();
  return "closed";
}

/** More than any pool of Bun or Node has threads. */
const BUSY = 80;

const [address = "", folder = "", given = "{}"] = process.argv.slice(2);
const options = JSON.parse(given) as DialOptions;
const relayModule = address === "" ? import("../../../lib/webrtc/turn_relay.ts") : undefined;
await relayModule;

// Opening a pipe to read waits for a writer.
const pipes = Array.from({ length: BUSY }, (_, index) => `${folder}/pipe${index}`);
execFileSync("mkfifo", pipes);
const opening = pipes.map(async (pipe) => await (await open(pipe)).close());
await delay(200);

const start = performance.now();
const outcome = relayModule !== undefined
  ? await relay()
  : await dial(address, options).then(async (channel) => {
    await channel.close();
    return channel.kind;
  }, (error: unknown) => error instanceof DialError ? `${error.code}:${error.phase}` : String(error));
console.log(`${Math.round(performance.now() - start)} ${outcome}`);

const waiting = new Set(pipes.keys());
const done = Promise.all(opening);
while (waiting.size > 0) {
  for (const index of waiting) {
    try {
      closeSync(openSync(pipes[index]!, constants.O_WRONLY | constants.O_NONBLOCK));
      waiting.delete(index);
    } catch {
      // Not being opened yet.
    }
  }
  await delay(5);
}
await done;
