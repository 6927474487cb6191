import type { CandidatePair } from "./candidate.ts";

/** The largest priority that a candidate may have (RFC 8445 §5.1.2.1). */
const HIGHEST_PRIORITY = 2_147_483_647;

/**
 * The machine's end of a pair that works, as a candidate above all others; undefined for a pair that is not to be
 * nominated yet.
 *
 * The engine, libjuice, nominates a pair 2 s after it was found to work, or as soon as no pair of a higher priority
 * is pending; and a pair that leads nowhere is pending for 39 s. pion sends nothing before a pair is nominated. Told
 * once more with the highest priority, the pair that works is checked again, ends all pending checks, and is
 * nominated a round trip later.
 *
 * A relayed pair waits, since a direct one that works a little later would be lost for good. With a relay of our own
 * it would gain nothing: the engine pairs every candidate with its own host addresses as well, and above the relay.
 */
export function promotedCandidate({ local, remote }: CandidatePair): string | undefined {
  if (local.type === "relay" || remote.type === "relay") return undefined;
  return `candidate:promoted 1 UDP ${HIGHEST_PRIORITY} ${remote.address} ${remote.port} typ host`;
}
