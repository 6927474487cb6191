/** How often to look whether a caller is there, in milliseconds. */
export const LOOK_MS = 500;

/** Silence after which its engine is asked, in milliseconds. */
const SILENCE_MS = 1_500;

/**
 * Silence after which it is gone, in milliseconds. What is lost is sent again some 0.2, 0.6, 1.4, 3 and 6.2 s later: a
 * caller that was cut off for three seconds, and just missed the fourth time, is heard of at the fifth.
 */
const GONE_MS = 8_000;

/**
 * Tells a machine whether a caller is still there. An idle caller says nothing, so its engine is asked, which answers
 * whatever its program is doing.
 */
export class CallerPresence {
  #seenAt: number;
  #lookedAt: number;
  #isAsked = false;

  /** @param now Milliseconds on any clock that does not go back. */
  constructor(now: number) {
    this.#seenAt = this.#lookedAt = now;
  }

  /** Something came in, or the caller's engine has answered. */
  seen(now: number): void {
    this.#seenAt = now;
    this.#isAsked = false;
  }

  /** Looks, every half second. Returns what to do. */
  look(now: number): "ask" | "gone" | "nothing" {
    // A machine that was busy itself has not looked, and answers may wait to be heard.
    if (now - this.#lookedAt > 3 * LOOK_MS) this.seen(now);
    this.#lookedAt = now;
    const silence = now - this.#seenAt;
    if (silence >= GONE_MS) return "gone";
    if (this.#isAsked || silence < SILENCE_MS) return "nothing";
    // Once: the question is sent again as often as it takes, by SCTP.
    this.#isAsked = true;
    return "ask";
  }
}
