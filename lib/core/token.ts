/** How long before its end a token counts as used up, in milliseconds: a call takes a while to arrive. */
const LEEWAY_MS = 10_000;

/**
 * When a JSON Web Token should be replaced, in milliseconds since 1970; undefined for a token that says nothing of
 * it (Viam's own never do, protocol §5.6) or that is no JSON Web Token. The signature is the server's business.
 */
export function renewTokenAt(token: string): number | undefined {
  const payload = token.split(".")[1];
  if (payload === undefined) return undefined;
  try {
    const text = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const { exp, iat } = JSON.parse(text) as { exp?: unknown; iat?: unknown };
    if (typeof exp !== "number" || !Number.isFinite(exp)) return undefined;
    // A token of a short life would otherwise be replaced at every call.
    const life = typeof iat === "number" ? (exp - iat) * 1000 : Infinity;
    return exp * 1000 - Math.min(LEEWAY_MS, life / 4);
  } catch {
    return undefined;
  }
}
