import { networkInterfaces } from "node:os";
import {
  COMPUTER_LOOK_MS,
  ComputerChanges,
  describeAddresses,
  describeDefaultRoutes,
} from "../core/net/computer_changes.ts";
import { routeTable } from "../runtime/interfaces.ts";
import { isPermitted } from "../runtime/permission.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";

const listeners = new Set<() => void>();
let looking: ReturnType<typeof setInterval> | undefined;

/**
 * Tells when this computer has slept, or its addresses or default route have changed, as far as Deno permits to look.
 * One timer serves all listeners, and keeps no process alive.
 *
 * @returns A function that stops it.
 */
export function watchComputer(changed: () => void): () => void {
  const listener = () => changed();
  listeners.add(listener);
  looking ??= start();
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(looking);
    looking = undefined;
  };
}

function start(): ReturnType<typeof setInterval> {
  const changes = new ComputerChanges(performance.now(), Date.now(), network());
  const timer = setInterval(() => {
    if (!changes.look(performance.now(), Date.now(), network())) return;
    for (const listener of [...listeners]) listener();
  }, COMPUTER_LOOK_MS);
  unrefTimer(timer);
  return timer;
}

function network(): string {
  const permitted = isPermitted({ name: "sys", kind: "networkInterfaces" });
  return `${permitted ? describeAddresses(networkInterfaces()) : ""}; ${describeDefaultRoutes(routeTable())}`;
}
