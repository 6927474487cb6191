/** How long before its end a token counts as used up, in milliseconds: a call takes a while to arrive. */
const LEEWAY_MS = 10_000;

/** How long a token is good for, in milliseconds since 1970 by this machine's clock. */
export interface TokenLife {
  /** From then on a new one is fetched before a call is made. */
  readonly renewAt: number;
  /** From then on the server refuses it. */
  readonly endsAt: number;
}

/** A token that does not say how long it is good for: until the server says otherwise. */
const ENDLESS: TokenLife = { renewAt: Infinity, endsAt: Infinity };

/**
 * How long a JSON Web Token is good for. Viam's own say nothing of it (protocol §5.6). The signature is the server's
 * business.
 *
 * @param receivedAt When it came, in milliseconds since 1970. A token that names the time of its issue is good for no
 * longer than from then to its end, counted from now: the clock of this machine may be years behind its server's, and
 * if it is ahead, a new token would be over already.
 */
export function tokenLife(token: string, receivedAt: number): TokenLife {
  const claims = claimsOf(token);
  if (claims === undefined) return ENDLESS;
  const { exp, iat } = claims;
  if (typeof exp !== "number" || !Number.isFinite(exp)) return ENDLESS;
  const dated = typeof iat === "number" && Number.isFinite(iat) && iat < exp;
  const counted = dated ? receivedAt + (exp - iat) * 1000 : Infinity;
  const endsAt = dated && exp * 1000 <= receivedAt ? counted : Math.min(counted, exp * 1000);
  // A token of a short life would otherwise be replaced at every call.
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
