/** The growth of delays between attempts, in milliseconds. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Delays of reconnects: the first attempt starts at once, and later delays reach 5 s. */
export const RECONNECT_BACKOFF: BackoffOptions = { firstMs: 200, maxMs: 5_000 };

/**
 * Returns the delay before an attempt, in milliseconds: none before the first, then exponential with full jitter, so
 * that the clients of a returning machine do not reconnect all at once.
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
