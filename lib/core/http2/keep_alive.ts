/** Interval of the looks at a connection, in milliseconds. */
export const TICK_MS = 1_000;

/** Looks without a sign of life, after a ping, at which a connection counts as lost. */
const PATIENT_TICKS = 10;

/** GOAWAY's error code for a client that asks too much: too many pings, above all (RFC 9113, section 7). */
const ENHANCE_YOUR_CALM = 11;

/**
 * Decides when an HTTP/2 connection is pinged, and when it is lost. Silence is counted in looks, not in time: a program
 * that computes for long looks once, and then has time to read what has come meanwhile.
 */
export class KeepAlive {
  #silent = 0;
  #pinged = false;

  /**
   * Takes a look, once a tick.
   *
   * @param heard Whether anything has come since the last look, or gone out that had to wait for room.
   */
  look(heard: boolean, intervalMs: number): "ping" | "lost" | "nothing" {
    if (heard) {
      this.#silent = 0;
      this.#pinged = false;
      return "nothing";
    }
    this.#silent++;
    if (this.#pinged) return this.#silent < PATIENT_TICKS ? "nothing" : "lost";
    if (this.#silent * TICK_MS < intervalMs) return "nothing";
    this.#silent = 0;
    this.#pinged = true;
    return "ping";
  }
}

/**
 * The interval of pings after a GOAWAY: doubled where the server found them too many (gRFC A8); undefined where it goes
 * for another reason.
 */
export function calmerInterval(intervalMs: number, goawayCode: number): number | undefined {
  return goawayCode === ENHANCE_YOUR_CALM && intervalMs > 0 ? intervalMs * 2 : undefined;
}
