import { isLoopback } from "../core/net/address.ts";

/** The unspecified addresses, which mean every address of this computer. */
const EVERYWHERE = ["0.0.0.0", "::"];

/** True if other computers can reach a server on an address. */
export function isOpenToOthers(hostname: string): boolean {
  return EVERYWHERE.includes(hostname) || !isLoopback(hostname);
}
