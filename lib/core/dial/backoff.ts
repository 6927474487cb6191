/**
 * Returns the delay before an attempt of a first dial, in milliseconds: none before the first, then exponential with
 * full jitter, up to 5 s.
 *
 * @param attempt From 1.
 * @param random From 0 up to 1.
 */
export function backoffMs(attempt: number, random: number): number {
  return attempt <= 1 ? 0 : random * Math.min(5_000, 200 * 2 ** (attempt - 1));
}

/** The longest pause while a machine is away, in milliseconds: a machine that is back is noticed within two seconds. */
export const MAX_PAUSE_MS = 1_500;

/**
 * Returns the pause before an attempt to reconnect, in milliseconds: none before the first, then at least a second, so
 * that three attempts of the default time outlast a reboot of a minute.
 *
 * @param attempt From 1.
 * @param random From 0 up to 1.
 */
export function attemptPauseMs(attempt: number, random: number): number {
  return attempt <= 1 ? 0 : 1_000 + random * (MAX_PAUSE_MS - 1_000);
}

/**
 * Returns the pause after a try of such an attempt has failed, in milliseconds. It grows, with full jitter: all clients
 * of a machine lose it at once, and must not return to it all at once.
 *
 * @param failures Tries that have failed in this attempt, from 1.
 * @param random From 0 up to 1.
 */
export function tryPauseMs(failures: number, random: number): number {
  return random * Math.min(MAX_PAUSE_MS, 100 * 2 ** failures);
}
