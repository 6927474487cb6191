/** Interval of the looks at a connection, in milliseconds. */
export const LOOK_MS = 100;

/** Most silence that one look counts, in milliseconds: a program that looks late did not listen meanwhile. */
const MOST_LOOK_MS = 400;

/** Silence of an idle connection after which it is looked at, in milliseconds. */
export const IDLE_MS = 10_000;

/** Looks that are so far apart show that the program has slept or computed, in milliseconds. */
const GAP_MS = 2_000;

/** Bounds of the silence that begins suspicion on a path with a round trip below `SLOW_MS`, in milliseconds. */
const LEAST_SILENCE_MS = 1_000, MOST_SILENCE_MS = 2_000;
const SLOW_MS = 500;

/** Most silence that the pace of an upload excuses, in milliseconds. */
const MOST_STRIDE_MS = 5_000;

/** Bytes within about a second that make a download, and the share of that sum that is left after a look. */
const DOWNLOAD_BYTES = 16_384;
const KEPT = 0.9;

/** Most silence of a download that acknowledgements excuse, in milliseconds: a frame of 64 KiB at 50 kbit/s. */
const MOST_FRAME_MS = 10_000;

/** Time after a doubt in which what arrives may be from before, in milliseconds. */
const STALE_MS = 300;

/** Time from suspicion to certainty without another connection, in milliseconds, and interval of the pings in it. */
const CERTAIN_MS = 8_000, PING_MS = 2_000;

/** Time that a replaced connection has for a sign of life, in milliseconds. */
const REPLACED_MS = 4_000;

/**
 * Returns the silence after which a machine is suspected to be gone, in milliseconds: four round trips and the jitter.
 *
 * @param jitterMs Mean deviation of the round trips.
 */
export function silenceLimitMs(roundTripMs: number, jitterMs: number): number {
  const limit = Math.max(LEAST_SILENCE_MS, 4 * (roundTripMs + jitterMs));
  return roundTripMs < SLOW_MS ? Math.min(MOST_SILENCE_MS, limit) : limit;
}

/** The state of a connection at one moment. */
export interface Sighting {
  /** Number of open calls. */
  readonly calls: number;
  /** Bytes that have left the channel's buffer so far. */
  readonly sent: number;
  /** Bytes in the channel's buffer. While there are any, the engine's own buffer is full. */
  readonly waiting: number;
  /** Bytes of whole frames that have arrived so far. */
  readonly received: number;
  /** The engine's estimate of the round trip, in milliseconds. */
  readonly roundTripMs: number | undefined;
}

/** The action after a look. */
export type LivenessAction =
  /** Ask the machine for an answer. */
  | "ask"
  /** The same, and let new calls wait for it: the program has slept, or computed. */
  | "doubt"
  /** Look for another connection, and ask the machine's engine for an answer. */
  | "suspect"
  /** Ask the machine's engine again. */
  | "ping"
  /** The connection is lost. */
  | "lost"
  /** A doubt or a suspicion is over. */
  | "alive"
  /** Nobody waits for anything: look again with the next call, or after `IDLE_MS`. */
  | "rest"
  | "nothing";

/**
 * Watches a data channel. The engine takes 13 to 30 seconds to notice that a peer is gone, but a live machine answers
 * any call at once, if only with `Unimplemented`: silence begins with a question, goes on as a suspicion, during which
 * another connection is made beside this one, and ends with certainty.
 *
 * - Only time in which the program looks counts: one that computes or sleeps does not hear.
 * - A machine whose engine answers while its channel does not is busy (Go's reader waits for slow handlers), and not
 *   gone.
 * - On a slow link the question waits behind an upload. Then the progress of the upload shows life.
 * - Its answer waits behind a download, of which nothing is reported before a frame is whole. But the other engine
 *   acknowledges the question at once, which moves the estimate of the round trip.
 */
export class Liveness {
  #state: "alive" | "asked" | "doubted" | "suspected" = "alive";
  /** Set when only the answer to a question counts: other frames may be from before. */
  #needsAnswer = false;
  #doubtedAt = -Infinity;
  #lookedAt: number;
  #heard = false;
  /** Milliseconds of silence that were looked at. */
  #silence = 0;
  /** Those since the suspicion began, or the engine answered. */
  #engineSilence = 0;
  #isPinged = false;
  #isReplaced = false;
  #sent = 0;
  #wasWaiting = false;
  #stride = 0;
  #progress = 0;
  #received: number | undefined;
  #recent = 0;
  #downloadedAt = -Infinity;
  #askedAt: number | undefined;
  #roundTrip: number;
  #engineRoundTrip = 0;
  #jitter = 0;

  /**
   * @param now Milliseconds on any clock that does not go back, here and below.
   * @param roundTripMs What the dial has measured.
   */
  constructor(now: number, roundTripMs: number) {
    this.#lookedAt = now;
    this.#roundTrip = roundTripMs;
  }

  /** Notes that looks begin again, with a call. */
  begin(now: number): void {
    this.#lookedAt = now;
    this.#silence = 0;
  }

  /** Notes that something arrived. Returns true when that ends a doubt or a suspicion. */
  heard(): boolean {
    if (this.#needsAnswer) return false;
    this.#heard = true;
    return this.#state !== "alive" && this.#revive();
  }

  /** Notes the answer to a question. Returns true when that ends a doubt or a suspicion. */
  answered(now: number): boolean {
    this.#heard = true;
    const roundTrip = now - (this.#askedAt ?? now);
    // One that was sent again, or waited for a busy machine, or behind a download, says nothing of the path (as in
    // RFC 6298, section 3).
    const waited = this.#state === "suspected" || now - this.#downloadedAt < Math.max(roundTrip, LOOK_MS);
    if (roundTrip > 0 && !waited) {
      this.#jitter += (Math.abs(roundTrip - this.#roundTrip) - this.#jitter) / 4;
      this.#roundTrip += (roundTrip - this.#roundTrip) / 8;
    }
    this.#askedAt = undefined;
    return this.#revive();
  }

  /** Notes that the machine's engine has answered a ping. */
  engineAnswered(): void {
    this.#isPinged = false;
    this.#engineSilence = 0;
  }

  /** Notes that the machine is asked. */
  asked(now: number): void {
    this.#askedAt ??= now;
  }

  /**
   * Begins with a question to an idle connection, or to one whose path may have changed. Returns false where the machine
   * is suspected already.
   */
  doubt(now: number, isIdle = false): boolean {
    if (this.#state === "suspected") return false;
    this.#state = isIdle ? "asked" : "doubted";
    this.#needsAnswer = !isIdle;
    this.#askedAt = undefined;
    this.#heard = false;
    this.#lookedAt = this.#doubtedAt = now;
    // The answer to the question waits behind a download; its acknowledgement may wait, too.
    this.#silence = this.#isDownloading(now) ? 0 : this.#limit() / 2;
    return true;
  }

  /** Notes that another connection has taken over: this one only ends its calls. */
  replace(): void {
    this.#isReplaced = true;
    this.#engineSilence = 0;
    this.#needsAnswer = false;
  }

  /** Takes a look at the connection, and returns the action. */
  look(now: number, sighting: Sighting): LivenessAction {
    // The calls of a replaced connection may have ended by their deadlines, with nothing heard.
    if (this.#isReplaced && sighting.calls <= 0) return "rest";
    const elapsed = now - this.#lookedAt;
    this.#lookedAt = now;
    const isAlive = this.#watchDownload(now, sighting);
    this.#engineRoundTrip = sighting.roundTripMs ?? this.#engineRoundTrip;
    if (this.#watchUpload(sighting, elapsed) || isAlive) return "alive";
    if (this.#heard) this.#silence = 0;
    else this.#silence += Math.min(elapsed, MOST_LOOK_MS);
    this.#heard = false;
    if (elapsed >= GAP_MS && !this.#isReplaced && this.doubt(now)) return "doubt";
    switch (this.#state) {
      case "alive":
        if (sighting.calls <= 0) return "rest";
        if (this.#silence < this.#limit() / (this.#isDownloading(now) ? 4 : 2)) return "nothing";
        this.#state = "asked";
        return "ask";
      case "asked":
      case "doubted":
        if (this.#silence < this.#limit()) return this.#isDownloading(now) ? "ask" : "nothing";
        this.#state = "suspected";
        this.#needsAnswer = false;
        this.#engineSilence = 0;
        this.#isPinged = true;
        return "suspect";
      case "suspected":
        this.#engineSilence += Math.min(elapsed, MOST_LOOK_MS);
        if (this.#engineSilence >= this.#certainMs(sighting)) return "lost";
        if (this.#isPinged || this.#engineSilence < PING_MS) {
          return this.#isDownloading(now) ? "ask" : "nothing";
        }
        this.#isPinged = true;
        return "ping";
    }
  }

  #revive(): boolean {
    const wasHeld = this.#state === "doubted" || this.#state === "suspected";
    this.#state = "alive";
    this.#needsAnswer = false;
    return wasHeld;
  }

  #limit(): number {
    const limit = silenceLimitMs(Math.max(this.#roundTrip, this.#engineRoundTrip), this.#jitter);
    return this.#wasWaiting ? Math.max(limit, Math.min(MOST_STRIDE_MS, 3 * this.#stride)) : limit;
  }

  /** A machine that does not read an upload cannot be asked either, and may still be busy with it. */
  #certainMs({ waiting }: Sighting): number {
    return this.#isReplaced && waiting === 0 ? REPLACED_MS : CERTAIN_MS;
  }

  /** Beside a download, a question goes out at each look: pion acknowledges one alone late, and a full queue loses some. */
  #isDownloading(now: number): boolean {
    return now - this.#downloadedAt < MOST_FRAME_MS;
  }

  /**
   * Takes an acknowledgement for a sign of life while a download is under way, and no other time: a machine whose engine
   * answers while its channel does not may be of no use, though it is not gone. Returns true when that ends a suspicion.
   */
  #watchDownload(now: number, { received, roundTripMs = this.#engineRoundTrip }: Sighting): boolean {
    const arrived = received - (this.#received ?? received);
    this.#received = received;
    this.#recent = this.#recent * KEPT + arrived;
    if (arrived > 0 && this.#recent >= DOWNLOAD_BYTES) this.#downloadedAt = now;
    if (roundTripMs === this.#engineRoundTrip) return false;
    this.engineAnswered();
    if (!this.#isDownloading(now)) return false;
    if (now - this.#doubtedAt >= STALE_MS) this.#needsAnswer = false;
    return this.heard();
  }

  /**
   * Takes the progress of an upload for a sign of life: bytes that left a full buffer went into the engine's, where only
   * acknowledged data makes room. Returns true when that ends a suspicion.
   */
  #watchUpload({ sent, waiting }: Sighting, elapsed: number): boolean {
    const hasProgressed = this.#wasWaiting && sent > this.#sent;
    this.#progress += elapsed;
    if (hasProgressed) this.#stride = Math.max(this.#progress, this.#stride / 2);
    if (hasProgressed || !this.#wasWaiting) this.#progress = 0;
    if (!this.#wasWaiting) this.#stride = 0;
    this.#sent = sent;
    this.#wasWaiting = waiting > 0;
    return hasProgressed && this.heard();
  }
}
