import { isLoopback } from "../core/net/address.ts";

/** Addresses that stand for every address of this computer. */
const EVERYWHERE = ["0.0.0.0", "::"];

/** Whether other computers can reach who listens on an address. */
export function isOpenToOthers(hostname: string): boolean {
  return EVERYWHERE.includes(hostname) || !isLoopback(hostname);
}
