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

/** Tells whether this computer has its loopback interface alone; false where Deno does not permit to ask. */
export function hasOnlyLoopback(): boolean {
  const addresses = localAddresses();
  return addresses.length > 0 &&
    addresses.every(({ address }) => /^(?:127\.|::1$)/.test(address));
}
