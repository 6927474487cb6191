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

/** Times between the pings to one server, in milliseconds. */
export interface PingTimes {
  /** Silence before a ping; 0 for no pings at all. */
  readonly intervalMs: number;
  /** Least time between two pings that ask at a call whether the server is still there. */
  readonly questionMs: number;
}

/** The times before a server complains: grpc-go sends clients away that ask more often. */
export function pingTimes(keepAliveMs: number): PingTimes {
  return { intervalMs: keepAliveMs, questionMs: 10_000 };
}

/**
 * The times after a GOAWAY: doubled where the server found the pings too many (gRFC A8); undefined where it goes for
 * another reason.
 */
export function calmerTimes(
  { intervalMs, questionMs }: PingTimes,
  goawayCode: number,
): PingTimes | undefined {
  if (goawayCode !== ENHANCE_YOUR_CALM || intervalMs === 0) return undefined;
  return { intervalMs: intervalMs * 2, questionMs: Math.max(questionMs, intervalMs * 2) };
}
