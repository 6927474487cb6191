/*
 * Runs TURN relays in a separate thread. The engine keeps its connections alive on threads of its own; with a relay on
 * the main thread, a program that computes for 30 seconds would lose them.
 */

import type { FromWorker, ToWorker } from "./relay_thread.ts";
import { openTurnRelay, type TurnRelay } from "./turn_relay.ts";

interface Port {
  postMessage(message: FromWorker): void;
}

const relays = new Map<number, Promise<TurnRelay>>();

/** Carries out the commands that arrive on `port`. */
function obey(port: Port, message: ToWorker): void {
  const { id } = message;
  if (message.kind === "open") {
    const opening = openTurnRelay(
      message.upstream,
      (event) => port.postMessage({ kind: "event", id, event }),
    );
    relays.set(id, opening);
    opening.then(
      (relay) => port.postMessage({ kind: "opened", id, port: relay.port }),
      (error) => port.postMessage({ kind: "unopened", id, reason: String(error) }),
    );
    return;
  }
  const relay = relays.get(id);
  if (message.kind === "nominate") {
    const { peer, password } = message;
    return void relay?.then((opened) => opened.nominate(peer, password)).catch(() => {});
  }
  relays.delete(id);
  void relay?.then((opened) => opened.close()).catch(() => {}).then(() =>
    port.postMessage({ kind: "closed", id })
  );
}

if (typeof globalThis.postMessage === "function") {
  const scope = globalThis as unknown as Port & { onmessage: (event: { readonly data: ToWorker }) => void };
  scope.onmessage = ({ data }) => obey(scope, data);
  scope.postMessage({ kind: "ready" });
} else {
  const { parentPort } = await import("node:worker_threads");
  parentPort!.on("message", (message: ToWorker) => obey(parentPort!, message));
  parentPort!.postMessage({ kind: "ready" } satisfies FromWorker);
}
