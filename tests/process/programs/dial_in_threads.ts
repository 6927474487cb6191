/** Dials in workers and in the main thread, one after the other, and prints what came of it: `ADDRESS THREAD…`. */

import process from "node:process";
import { Worker as NodeWorker } from "node:worker_threads";
import { dial } from "../../../mod.ts";

const [address = "", ...threads] = process.argv.slice(2);
const MODULE = new URL("./dial_in_worker.ts", import.meta.url);

async function inWorker(): Promise<unknown> {
  if (typeof Worker === "undefined") {
    const worker = new NodeWorker(MODULE);
    const outcome = await new Promise((resolve) => {
      worker.on("message", resolve);
      worker.postMessage(address);
    });
    await worker.terminate();
    return outcome;
  }
  const worker = new Worker(MODULE, { type: "module" });
  const outcome = await new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.postMessage(address);
  });
  worker.terminate();
  return outcome;
}

async function inMain(): Promise<unknown> {
  await using channel = await dial(address, { insecure: true });
  return channel.kind;
}

for (const thread of threads) {
  console.log(JSON.stringify(await (thread === "worker" ? inWorker() : inMain())));
}
