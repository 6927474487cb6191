/** Silence while calls are open after which the machine is asked for a sign of life, in milliseconds. */
const SILENCE_MS = 5_000;

/** How long it may take to give one, in milliseconds, each of two times. */
const ANSWER_MS = 2_000;

/** How often to look, in milliseconds. With the above, a dead machine is known within 10 s. */
export const LOOK_MS = 500;

/** What is seen of a connection at one moment. */
export interface Sighting {
  /** Calls that are open. */
  readonly calls: number;
  /** Bytes that have left the channel's buffer so far. */
  readonly sent: number;
  /** Bytes in the channel's buffer. While there are any, the engine's own buffer is full. */
  readonly waiting: number;
}

/**
 * Watches a data channel while calls are open on it. The engine takes 13 to 30 seconds to notice that a peer is
 * gone; a machine that is there answers any call at once, if only with `Unimplemented`. On a slow link the question
 * may wait behind an upload for longer than the answer may take; but then the upload moves on, which shows life, too.
 */
export class Liveness {
  #aliveAt = 0;
  #asked = 0;
  #askedAt = 0;
  #sent = 0;
  #wasWaiting = false;

  /**
   * Something came in, or the first call was opened.
   *
   * @param now Milliseconds on any clock that does not go back.
   */
  alive(now: number): void {
    this.#aliveAt = now;
    this.#asked = 0;
  }

  /** Looks at the connection, every half second. Returns what to do. */
  look(now: number, { calls, sent, waiting }: Sighting): "ask" | "lost" | "nothing" {
    // What left a full buffer made room in the engine's, which only acknowledged data does.
    if (calls <= 0 || (this.#wasWaiting && sent > this.#sent)) this.alive(now);
    this.#sent = sent;
    this.#wasWaiting = waiting > 0;
    const waited = this.#asked === 0 ? now - this.#aliveAt >= SILENCE_MS : now - this.#askedAt >= ANSWER_MS;
    if (!waited) return "nothing";
    if (this.#asked === 2) return "lost";
    this.#asked++;
    this.#askedAt = now;
    return "ask";
  }
}
