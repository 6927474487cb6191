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

/** The longest pause before the first attempt after a machine has closed its connections, in milliseconds. */
const SPREAD_MS = 300;

/**
 * Returns the pause before an attempt to reconnect, in milliseconds. After the first it is at least a second, so that
 * three attempts of the default time outlast a reboot of a minute. Before the first there is none where the cause may be
 * this client's own; all clients of a machine that closes its connections lose them at once, and spread out.
 *
 * @param attempt From 1.
 * @param random From 0 up to 1.
 */
export function attemptPauseMs(attempt: number, byMachine: boolean, random: number): number {
  if (attempt > 1) return 1_000 + random * (MAX_PAUSE_MS - 1_000);
  return byMachine ? random * SPREAD_MS : 0;
}

/** The longest pause between the first tries, in milliseconds, and their number: most machines are back by then. */
const MAX_EARLY_PAUSE_MS = 800, EARLY_TRIES = 15;

/**
 * Returns the pause after a try of such an attempt has failed, in milliseconds. It grows, with full jitter: all clients
 * of a machine lose it at once, and must not return to it all at once.
 *
 * @param failures Tries that have failed in this attempt, from 1.
 * @param random From 0 up to 1.
 */
export function tryPauseMs(failures: number, random: number): number {
  return random * Math.min(failures <= EARLY_TRIES ? MAX_EARLY_PAUSE_MS : MAX_PAUSE_MS, 100 * 2 ** failures);
}
