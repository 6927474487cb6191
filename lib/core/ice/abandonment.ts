/** Longest that an abandoned attempt goes on, in milliseconds: it keeps the process alive. */
const MOST_FINISH_MS = 5_000;

/** Time to finish an attempt, besides round trips, in milliseconds. DTLS sends a lost flight again after a second. */
const FINISHING_MS = 1_500;

/** Round trips from the offer until channel 0 is open at both ends, and `done` is answered. */
const FINISH_ROUND_TRIPS = 8;

/** Time in which an abandoned attempt is finished, in milliseconds. */
export function finishMs(roundTripMs: number): number {
  return Math.min(MOST_FINISH_MS, FINISHING_MS + FINISH_ROUND_TRIPS * roundTripMs);
}

/** Time that a machine takes at most to answer an offer, besides the way there and back, in milliseconds. */
const ANSWERING_MS = 500;

/** An attempt at a WebRTC connection whose dial is given up. */
export interface AbandonedAttempt {
  /** Milliseconds since the offer was sent; undefined if it was not. */
  readonly offeredMs: number | undefined;
  /** A round trip to the signaling server, in milliseconds. */
  readonly roundTripMs: number;
  readonly isAnswered: boolean;
  /** True if the machine's engine is libdatachannel, as far as is known. */
  readonly isLibdatachannel: boolean;
}

/**
 * Decides for how many milliseconds an abandoned attempt goes on; 0 ends it at once.
 *
 * A goutils machine has two answerers, and each is held until the data channel is open and the caller has said that
 * it is done, or for 10 s, whatever else the caller says or closes. So an attempt that was answered is finished. An
 * offer that was not may be on its way, which a moment shows, or wait in the queue, where ending `Call` withdraws it.
 * Our own answerers are free when the caller reports a failure.
 */
export function lingerMs({ offeredMs, roundTripMs, isAnswered, isLibdatachannel }: AbandonedAttempt): number {
  if (offeredMs === undefined || isLibdatachannel) return 0;
  if (isAnswered) return finishMs(roundTripMs);
  return Math.min(finishMs(roundTripMs), Math.max(0, 2 * roundTripMs + ANSWERING_MS - offeredMs));
}
