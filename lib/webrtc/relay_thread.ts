import { Worker as NodeWorker } from "node:worker_threads";
import type { TurnRelayEvent, TurnUpstream } from "./turn_relay.ts";

/** A command to the thread of the relays. */
export type ToWorker =
  | { readonly kind: "open"; readonly id: number; readonly upstream: TurnUpstream }
  | { readonly kind: "nominate"; readonly id: number; readonly peer: string; readonly password: string }
  | { readonly kind: "close"; readonly id: number };

/** A report of that thread. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "opened"; readonly id: number; readonly port: number }
  | { readonly kind: "unopened"; readonly id: number; readonly reason: string }
  | { readonly kind: "event"; readonly id: number; readonly event: TurnRelayEvent }
  | { readonly kind: "closed"; readonly id: number };

/** A thread that runs a module, on any runtime. */
export interface RelayThread {
  postMessage(message: ToWorker): void;
  terminate(): unknown;
}

/** Receives the reports of a thread, and its failure. */
export interface RelayThreadListener {
  message(message: FromWorker): void;
  failed(reason: string): void;
}

/**
 * Starts a module in a thread, by the web's `Worker`, which starts sooner, or by Node's own, which has no other. Throws if
 * the runtime does not permit it.
 */
export function startRelayThread(module: URL, listener: RelayThreadListener): RelayThread {
  if (typeof Worker === "undefined") {
    const worker = new NodeWorker(module);
    worker.on("message", (message: FromWorker) => listener.message(message));
    worker.on("error", (error) => listener.failed(String(error)));
    return worker;
  }
  const worker = new Worker(module, { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => listener.message(data);
  worker.onerror = (event) => {
    // Otherwise Deno ends the process with it.
    event.preventDefault?.();
    listener.failed(event.message);
  };
  return worker;
}
