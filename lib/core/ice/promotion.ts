import type { CandidatePair } from "./candidate.ts";

/*
 * The engine, libjuice, nominates a pair 2 s after it was found to work, or once no pair of a higher priority is
 * pending, and an unreachable pair is pending for 39 s. pion sends nothing before a pair is nominated.
 */

/** The largest priority that a candidate may have (RFC 8445 §5.1.2.1). */
const HIGHEST_PRIORITY = 2_147_483_647;

/** Time that a direct pair has to answer before a relay of ours is nominated, in milliseconds: an interval of checks. */
const OWN_RELAY_MS = 50;

/**
 * Time that it has before a relay of the machine's is, in milliseconds: that is for good. Unlikely candidates are told
 * 150 ms late, and then checked one each 50 ms.
 */
const THEIR_RELAY_MS = 500;

/** A pair that works, and what else may. */
export interface WorkingPair {
  readonly pair: CandidatePair;
  /** Time since the first pair was found to work, in milliseconds. */
  readonly forMs: number;
  /** True if nothing but our own relays is used. */
  readonly relayOnly: boolean;
}

/** The way to nominate a pair. */
export type Promotion =
  /**
   * The machine's end of the pair as a candidate above all others. When the engine receives it, it checks the pair
   * again, ends all pending checks, and nominates the pair a round trip later, for good.
   */
  | { readonly kind: "candidate"; readonly line: string }
  /**
   * A check that the relay repeats for the engine. With a relay of our own, a candidate would gain nothing, because the
   * engine pairs every candidate with its own host addresses as well, and above the relay. A direct pair that works
   * later replaces this one.
   */
  | { readonly kind: "throughRelay" };

/** Decides how to nominate a pair that works; undefined if a better one may still answer. */
export function promotionOf(
  { pair: { local, remote }, forMs, relayOnly }: WorkingPair,
): Promotion | undefined {
  if (local.type === "relay") {
    return relayOnly || forMs >= OWN_RELAY_MS ? { kind: "throughRelay" } : undefined;
  }
  if (remote.type === "relay" && forMs < THEIR_RELAY_MS) return undefined;
  // The engine takes no peer-reflexive candidate, and reports the type that it is given.
  const type = remote.type === "host" ? "host" : "srflx";
  const line = `candidate:promoted 1 UDP ${HIGHEST_PRIORITY} ${remote.address} ${remote.port} typ ${type}`;
  return { kind: "candidate", line };
}
