import { isMainThread } from "node:worker_threads";

/** Tells whether this is a worker, and not the main thread of the process. */
export function isWorker(): boolean {
  // For Deno's own workers `isMainThread` is true.
  return !isMainThread || "DedicatedWorkerGlobalScope" in globalThis;
}
