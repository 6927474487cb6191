/** How delays between attempts grow, in milliseconds. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Delays of reconnects: the first attempt goes out at once, later ones reach 5 s. */
export const RECONNECT_BACKOFF: BackoffOptions = { firstMs: 200, maxMs: 5_000 };

/**
 * The delay before an attempt, in milliseconds: none before the first, then exponential with full jitter, so that
 * the clients of a machine that was away do not come back all at once.
 *
 * @param attempt From 1.
 * @param random From 0 up to 1.
 */
export function backoffMs(
  attempt: number,
  random: number,
  options: BackoffOptions = RECONNECT_BACKOFF,
): number {
  if (attempt <= 1) return 0;
  return random * Math.min(options.maxMs, options.firstMs * 2 ** (attempt - 1));
}
