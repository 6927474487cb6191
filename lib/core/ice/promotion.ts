import type { CandidatePair } from "./candidate.ts";

/** The largest priority that a candidate may have (RFC 8445 §5.1.2.1). */
const HIGHEST_PRIORITY = 2_147_483_647;

/**
 * Returns the machine's end of a working pair as a candidate above all others; undefined for a pair that must not be
 * nominated yet.
 *
 * The engine, libjuice, nominates a pair 2 s after it was found to work, or once no pair of a higher priority is
 * pending, and an unreachable pair is pending for 39 s. pion sends nothing before a pair is nominated. When the engine
 * receives the working pair once more, with the highest priority, it checks the pair again, ends all pending checks,
 * and nominates it a round trip later.
 *
 * A relayed pair is not promoted: a direct one that works a little later would be lost for good. With a relay of our
 * own, promotion would gain nothing, because the engine pairs every candidate with its own host addresses as well, and
 * above the relay.
 */
export function promotedCandidate({ local, remote }: CandidatePair): string | undefined {
  if (local.type === "relay" || remote.type === "relay") return undefined;
  // The engine takes no peer-reflexive candidate, and reports the type that it is given.
  const type = remote.type === "host" ? "host" : "srflx";
  return `candidate:promoted 1 UDP ${HIGHEST_PRIORITY} ${remote.address} ${remote.port} typ ${type}`;
}
