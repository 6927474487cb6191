import { isLoopback } from "../../core/net/address.ts";

/**
 * True if a page may call, by the Origin header of its request; without the header it is not a page. Pages of this
 * computer may, and others only if they are named: otherwise any page that the user visits could move a robot.
 */
export function mayCall(origin: string | undefined, allowed: readonly string[]): boolean {
  if (origin === undefined || allowed.includes("*") || allowed.includes(origin)) return true;
  const { hostname = "" } = URL.parse(origin) ?? {};
  return isLoopback(hostname.replace(/^\[|\]$/g, ""));
}
