/** Heartbeats in a window: one that is lost or late does no harm (rdk, session/doc.go). */
const BEATS_IN_WINDOW = 5;

/** Time without an answer after which heartbeats stop, in windows, and in milliseconds at least. */
const SILENT_WINDOWS = 5, SILENT_MS = 10_000;

interface Live {
  readonly id: string;
  readonly windowMs: number;
  /** The time of the last sign of life: a heartbeat, or a call that the machine answered. */
  signAt: number;
  /** The time of the last answer to one. */
  heardAt: number;
}

/** Session of a monitored call. */
export type CallSession =
  /** This session. */
  | { readonly id: string }
  /** One that has to be started first; the machine may still know the id, if there is one. */
  | { readonly start: true; readonly resume: string }
  /** None: the machine keeps no sessions. */
  | "none";

/**
 * The session of a channel, as its client sees it (protocol §6.2): whether there is one, when to show a sign of life, and
 * what a refusal means. Times are milliseconds on any clock that does not go back.
 */
export class ClientSession {
  #live: Live | undefined;
  /** The session that the machine may still know though heartbeats have stopped. */
  #resume = "";
  #isSupported = true;

  /** Decides which session a monitored call goes with now. */
  forCall(): CallSession {
    if (!this.#isSupported) return "none";
    return this.#live === undefined ? { start: true, resume: this.#resume } : { id: this.#live.id };
  }

  /**
   * The machine has started a session, or resumed it.
   *
   * @param askedAt When it was asked.
   * @param windowMs How long the session outlives a sign of life; a machine without a window keeps no sessions.
   */
  started(askedAt: number, now: number, id: string, windowMs: number): void {
    if (!(windowMs > 0) || id === "") return this.unsupported();
    this.#resume = id;
    this.#live = { id, windowMs, signAt: askedAt, heardAt: now };
  }

  /** The machine has no method to start or keep a session. */
  unsupported(): void {
    this.#isSupported = false;
    this.#live = undefined;
    this.#resume = "";
  }

  /** A sign of life was sent at `sentAt`, and the machine has answered it. */
  answered(sentAt: number, now: number, id: string): void {
    const live = this.#live;
    if (live?.id !== id) return;
    live.signAt = Math.max(live.signAt, sentAt);
    live.heardAt = now;
  }

  /** The machine does not know this session any more. Returns whether that is news: what it moved has stopped. */
  expired(id: string): boolean {
    if (id === "" || this.#resume !== id) return false;
    this.#live = undefined;
    this.#resume = "";
    return true;
  }

  /** The connection is lost: no heartbeat goes until the session is resumed. */
  disconnected(): void {
    this.#live = undefined;
  }

  /** The machine may be another by now: one that kept no sessions is asked again. */
  mayBeAnother(): void {
    this.#isSupported = true;
  }

  /** There is a new connection. Returns whether a session is to be resumed on it now. */
  reconnected(): boolean {
    this.#isSupported = true;
    this.#live = undefined;
    return this.#resume !== "";
  }

  /**
   * Decides whether to send a heartbeat: then its session and window; otherwise, in how many milliseconds to ask again.
   * Undefined while there is nothing to keep alive.
   */
  beat(
    now: number,
  ): { readonly id: string; readonly windowMs: number } | { readonly inMs: number } | undefined {
    const live = this.#live;
    if (live === undefined) return undefined;
    if (now - live.heardAt > Math.max(SILENT_MS, SILENT_WINDOWS * live.windowMs)) {
      this.#live = undefined;
      return undefined;
    }
    const inMs = live.signAt + live.windowMs / BEATS_IN_WINDOW - now;
    if (inMs > 0) return { inMs };
    live.signAt = now;
    return live;
  }
}
