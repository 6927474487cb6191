/** Silence while calls are open after which the machine is asked for a sign of life, in milliseconds. */
const SILENCE_MS = 5_000;

/** Time for the answer, in milliseconds, each of two times. */
const ANSWER_MS = 2_000;

/** Interval of the looks, in milliseconds. With the above, a dead machine is noticed within 10 s. */
export const LOOK_MS = 500;

/** The state of a connection at one moment. */
export interface Sighting {
  /** Number of open calls. */
  readonly calls: number;
  /** Bytes that have left the channel's buffer so far. */
  readonly sent: number;
  /** Bytes in the channel's buffer. While there are any, the engine's own buffer is full. */
  readonly waiting: number;
}

/**
 * Watches a data channel while calls are open on it. The engine takes 13 to 30 seconds to notice that a peer is gone,
 * but a live machine answers any call at once, if only with `Unimplemented`. On a slow link the question may wait
 * behind an upload for longer than the time for the answer; then the progress of the upload shows life.
 */
export class Liveness {
  #aliveAt = 0;
  #asked = 0;
  #askedAt = 0;
  #sent = 0;
  #wasWaiting = false;

  /**
   * Notes that something arrived, or that the first call was opened.
   *
   * @param now Milliseconds on any monotonic clock.
   */
  alive(now: number): void {
    this.#aliveAt = now;
    this.#asked = 0;
  }

  /** Takes a look at the connection, every half second, and returns the action. */
  look(now: number, { calls, sent, waiting }: Sighting): "ask" | "lost" | "nothing" {
    // Bytes that left a full buffer went into the engine's, where only acknowledged data makes room.
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
