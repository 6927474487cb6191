/** Interval of the looks at a caller, in milliseconds. */
export const LOOK_MS = 500;

/** Silence after which the caller's engine is asked, in milliseconds. */
const SILENCE_MS = 1_500;

/**
 * Silence after which the caller counts as gone, in milliseconds. SCTP retransmits after some 0.2, 0.6, 1.4, 3 and 6.2
 * s: a caller that was cut off for three seconds, and just missed the fourth retransmission, answers the fifth.
 */
const GONE_MS = 8_000;

/**
 * Tells a machine whether a caller is still there. An idle caller sends nothing, so the machine asks its engine, which
 * answers whatever the program is doing.
 */
export class CallerPresence {
  #seenAt: number;
  #lookedAt: number;
  #isAsked = false;

  /** @param now Milliseconds on any clock that does not go back. */
  constructor(now: number) {
    this.#seenAt = this.#lookedAt = now;
  }

  /** Notes that something arrived, or that the caller's engine has answered. */
  seen(now: number): void {
    this.#seenAt = now;
    this.#isAsked = false;
  }

  /** Takes a look, every half second, and returns the action. */
  look(now: number): "ask" | "gone" | "nothing" {
    // If the machine itself was busy, it has not looked, and answers may be waiting.
    if (now - this.#lookedAt > 3 * LOOK_MS) this.seen(now);
    this.#lookedAt = now;
    const silence = now - this.#seenAt;
    if (silence >= GONE_MS) return "gone";
    if (this.#isAsked || silence < SILENCE_MS) return "nothing";
    // Once is enough: SCTP retransmits the question.
    this.#isAsked = true;
    return "ask";
  }
}
