/** Largest limit of the channel's buffer, in bytes: that of goutils (protocol §4.11). */
export const MAX_WINDOW_BYTES = 1_048_576;

/** Smallest limit, in bytes: a little more than one frame, so that a slow link still gets whole frames. */
export const MIN_WINDOW_BYTES = 65_536;

/**
 * Target for the time that buffered data takes to leave, in milliseconds; it bounds the wait of a small call behind a
 * large one.
 */
const TARGET_MS = 100;

/**
 * Largest age of the last look at the buffer, in milliseconds: the smallest window drains at 100 kbit/s in this time.
 */
const STALE_MS = 5_000;

/**
 * Limits how many bytes may wait in a data channel's buffer. The limit starts at its largest and follows the rate at
 * which the buffer drains, so that a bulk transfer on a slow link does not put seconds of data in front of everything
 * else. Data in the engine's own buffer counts, too.
 */
export class SendWindow {
  readonly #engineBytes: number;
  #limit = MAX_WINDOW_BYTES;
  #rate: number | undefined;
  #since: number | undefined;
  #buffered = 0;
  #written = 0;

  /** @param engineBytes Size of the engine's own send buffer, which is full whenever the channel's is in use. */
  constructor(engineBytes: number) {
    this.#engineBytes = engineBytes;
  }

  /** Bytes that may wait now. */
  get limit(): number {
    return this.#limit;
  }

  /** Notes that bytes went into the buffer. */
  wrote(bytes: number): void {
    this.#written += bytes;
  }

  /**
   * Notes the fill level of the buffer.
   *
   * @param now Milliseconds on any monotonic clock.
   * @param buffered Bytes in the buffer.
   */
  observe(now: number, buffered: number): void {
    // Only a buffer that was never empty in between shows the rate of the link.
    if (this.#since === undefined || this.#buffered === 0) {
      this.#start(now, buffered);
      return;
    }
    const elapsed = now - this.#since;
    if (elapsed < 20) return;
    // The last look is too old: the buffer may have been empty in between.
    if (elapsed > STALE_MS) return this.#start(now, buffered);
    const drained = this.#buffered + this.#written - buffered;
    if (drained > 0 && (buffered > 0 || drained > MIN_WINDOW_BYTES)) {
      const rate = drained / elapsed;
      this.#rate = this.#rate === undefined ? rate : this.#rate * 0.7 + rate * 0.3;
      const target = this.#rate * TARGET_MS - this.#engineBytes;
      this.#limit = Math.round(Math.min(MAX_WINDOW_BYTES, Math.max(MIN_WINDOW_BYTES, target)));
    }
    this.#start(now, buffered);
  }

  #start(now: number, buffered: number): void {
    this.#since = now;
    this.#buffered = buffered;
    this.#written = 0;
  }
}
