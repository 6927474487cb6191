/** Time before its end at which a token counts as used up, in milliseconds: a call takes a while to arrive. */
const LEEWAY_MS = 10_000;

/** The lifetime of a token, in milliseconds since 1970 by the clock of this computer. */
export interface TokenLife {
  /** The time from which a new one is fetched before a call. */
  readonly renewAt: number;
  /** The time from which the server refuses it. */
  readonly endsAt: number;
}

/** A token without an end is valid until the server refuses it. */
const ENDLESS: TokenLife = { renewAt: Infinity, endsAt: Infinity };

/**
 * Returns the lifetime of a JSON Web Token. Viam's own have no end (protocol §5.6). Only the server checks the
 * signature.
 *
 * @param receivedAt The time of its arrival, in milliseconds since 1970. A token with the time of its issue is valid
 * for no longer than from its issue to its end, counted from its arrival: the clock of this computer may be years
 * behind its server's, and if it is ahead, a new token would have expired already.
 */
export function tokenLife(token: string, receivedAt: number): TokenLife {
  const claims = claimsOf(token);
  if (claims === undefined) return ENDLESS;
  const { exp, iat } = claims;
  if (typeof exp !== "number" || !Number.isFinite(exp)) return ENDLESS;
  const dated = typeof iat === "number" && Number.isFinite(iat) && iat < exp;
  const counted = dated ? receivedAt + (exp - iat) * 1000 : Infinity;
  const endsAt = dated && exp * 1000 <= receivedAt ? counted : Math.min(counted, exp * 1000);
  // A short-lived token would otherwise be replaced at every call.
  const life = Math.max(0, endsAt - receivedAt);
  return { renewAt: endsAt - Math.min(LEEWAY_MS, life / 4), endsAt };
}

function claimsOf(token: string): { exp?: unknown; iat?: unknown } | undefined {
  const payload = token.split(".")[1];
  if (payload === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    return typeof claims === "object" && claims !== null ? claims : undefined;
  } catch {
    return undefined;
  }
}
