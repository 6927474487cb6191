import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { isPermitted } from "./permission.ts";

/** This computer's addresses and the lengths of their subnets' prefixes; none where Deno does not permit to ask. */
export function localAddresses(): { readonly address: string; readonly prefix: number | undefined }[] {
  if (!isPermitted({ name: "sys", kind: "networkInterfaces" })) return [];
  return Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).map(({ address, cidr }) => ({
      address,
      prefix: cidr === null ? undefined : Number(cidr.split("/")[1]),
    }))
  );
}

const ROUTES = new URL("file:///proc/net/route");

/** False once the table could not be read: other systems have none. */
let hasRouteTable = true;

/** Linux' table of IPv4 routes, after a line of titles (proc_net(5)); empty elsewhere, or without Deno's permission. */
export function routeTable(): string {
  if (!hasRouteTable || !isPermitted({ name: "read", path: ROUTES })) return "";
  try {
    return readFileSync(ROUTES, "utf8");
  } catch {
    hasRouteTable = false;
    return "";
  }
}

/**
 * Tells whether this computer has its loopback interface alone; false where Deno does not permit to ask. Bun lists no
 * interface whose state is unknown, as that of a VPN is; such a one has routes.
 */
export function hasOnlyLoopback(): boolean {
  const addresses = localAddresses();
  return addresses.length > 0 && addresses.every(({ address }) => /^(?:127\.|::1$)/.test(address)) &&
    !routeTable().trimEnd().includes("\n");
}
