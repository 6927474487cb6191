import { isLoopback } from "../net/address.ts";
import { isNear, parseIp } from "../net/ip.ts";
import type { Candidate, CandidatePair } from "./candidate.ts";

/**
 * Returns this computer's end of a path, or undefined if it is not known.
 *
 * The engine, libjuice, looks its end up among its candidates. Over IPv4 it never finds it, and reports the first of
 * them: often an IPv6 address, or that of another interface. All host candidates are of one socket, so what is missing
 * is the address that the system sends from.
 *
 * @param own The candidates of this computer.
 */
export function ownEnd({ local, remote }: CandidatePair, own: readonly Candidate[]): Candidate | undefined {
  if (local.type !== "host") return local;
  const ip = parseIp(remote.address);
  if (ip?.version !== 4) return parseIp(local.address)?.version === ip?.version ? local : undefined;
  if (isLoopback(remote.address)) return { ...local, address: "127.0.0.1" };
  const hosts = own.filter(({ type, protocol, address }) =>
    type === "host" && protocol === local.protocol && parseIp(address)?.version === 4
  );
  const here = hosts.find(({ address }) => address === remote.address);
  if (here !== undefined) return here;
  const near = hosts.filter(({ address }) => isNear(ip, { address, prefix: undefined }));
  const likely = near.length > 0 ? near : hosts;
  return likely.length === 1 ? likely[0] : undefined;
}
