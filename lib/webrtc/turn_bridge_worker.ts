/*
 * Runs TURN relays in a thread of their own. The engine keeps its connections alive on threads of its own, too; with
 * a relay on the main thread, a program that computes for 30 seconds would lose them.
 */

import type { FromWorker, ToWorker } from "./turn_bridge.ts";
import { openTurnRelay, type TurnRelay } from "./turn_relay.ts";

const scope = globalThis as unknown as {
  postMessage(message: FromWorker): void;
  onmessage: ((event: { readonly data: ToWorker }) => void) | null;
};

const relays = new Map<number, Promise<TurnRelay>>();

scope.onmessage = ({ data }) => {
  const { id } = data;
  if (data.kind === "open") {
    const opening = openTurnRelay(
      data.upstream,
      (event) => scope.postMessage({ kind: "event", id, event }),
    );
    relays.set(id, opening);
    opening.then(
      ({ port }) => scope.postMessage({ kind: "opened", id, port }),
      (error) => scope.postMessage({ kind: "unopened", id, reason: String(error) }),
    );
    return;
  }
  const relay = relays.get(id);
  relays.delete(id);
  void relay?.then((opened) => opened.close()).catch(() => {}).then(() =>
    scope.postMessage({ kind: "closed", id })
  );
};

scope.postMessage({ kind: "ready" });
