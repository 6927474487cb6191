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

/** Linux' table of IPv4 routes, after a line of titles (proc_net(5)). */
const ROUTES = new URL("file:///proc/net/route");

/** Tells whether this computer has its loopback interface alone; false where Deno does not permit to ask. */
export function hasOnlyLoopback(): boolean {
  const addresses = localAddresses();
  return addresses.length > 0 && addresses.every(({ address }) => /^(?:127\.|::1$)/.test(address)) &&
    !hasRoutes();
}

/** Bun lists no interface whose state is unknown, as that of a VPN is. Such a one has routes. */
function hasRoutes(): boolean {
  if (!isPermitted({ name: "read", path: ROUTES })) return false;
  try {
    return readFileSync(ROUTES, "utf8").trimEnd().includes("\n");
  } catch {
    return false; // not on Linux
  }
}
