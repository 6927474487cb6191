import { MAX_FRAME_BYTES, MAX_PACKET_BYTES } from "../limits.ts";

/** Shortest round trip for which frames are spread, in milliseconds: timers are too coarse for shorter ones. */
const MIN_PATH_MS = 20;

/** Bytes of a frame in one packet of the engine: 1,200 without the headers of IPv6, UDP, DTLS and SCTP. */
const CHUNK_BYTES = 1_064;

/** Bytes of a frame besides those of the message. */
const OVERHEAD_BYTES = MAX_FRAME_BYTES - MAX_PACKET_BYTES;

/** Most packets of a frame that fill it. */
const MAX_PACKETS = Math.floor(MAX_FRAME_BYTES / CHUNK_BYTES);

/** Bytes that go at once, and then nothing for a round trip: the engine's own first window. */
const FIRST_BYTES = 10 * CHUNK_BYTES;

/** Growth in a round trip: that of the engine's own window while each second packet is acknowledged. */
const GROWTH = 1.5;

/** Time that one frame makes up for, and the longest time that is made up for, in milliseconds. */
const FRAME_MS = 4, LATE_MS = 10;

/** A timer that is late by this share of a round trip shows that the program, or the computer, has paused. */
const PAUSE_SHARE = 0.6;

/** Time after which a single packet is acknowledged, in milliseconds. */
const ALONE_MS = 200;

/**
 * Spreads bulk data over the round trips of a long path, in pairs of packets: without bursts, which may be more than a
 * receiver takes at once, and so that little waits in the engine in front of a small call. pion acknowledges each second
 * packet at once, and a single one after 200 ms or with the next, so that pairs let the engine's own window grow fastest.
 */
export class Pacing {
  #pathMs: number;
  #beganAt: number;
  /** Up to when bytes have become due. */
  #dueAt: number;
  #wroteAt: number;
  /** Time of the next look for room, while there is none. */
  #nextLookAt: number | undefined;
  /** Bytes a millisecond. */
  #rate = 0;
  /** Bytes that may be handed over; below 0 after more than that. */
  #bytes = FIRST_BYTES;
  /** True if the last packet has no other one to be acknowledged with. */
  #isOdd = false;

  /** @param pathMs Round trip of the path, in milliseconds. */
  constructor(now: number, pathMs: number) {
    this.#pathMs = pathMs;
    this.#beganAt = this.#wroteAt = now;
    this.#dueAt = now + pathMs;
  }

  /** True if frames are spread on a path of this round trip. */
  static isFor(pathMs: number): boolean {
    return pathMs >= MIN_PATH_MS;
  }

  /**
   * True once after a pause of the program or the computer, in which most of what was on its way has been acknowledged.
   * The engine cuts its own window to the rest and ten packets.
   */
  hasPaused(now: number): boolean {
    const isLate = this.#nextLookAt !== undefined && now - this.#nextLookAt > PAUSE_SHARE * this.#pathMs;
    this.#nextLookAt = undefined;
    return isLate;
  }

  /** Most bytes of a message in the next frame: as many as leave an even number of packets. */
  frameBytes(mostBytes: number): number {
    const bytes = Math.min(mostBytes, FRAME_MS * this.#rate);
    const packets = Math.max(1, Math.min(MAX_PACKETS - 1, Math.round(bytes / CHUNK_BYTES)));
    const isEven = (packets % 2 === 1) === this.#isOdd;
    return (isEven ? packets : packets + 1) * CHUNK_BYTES - OVERHEAD_BYTES;
  }

  /** True if a frame may be handed over now: a window in each round trip, and less at the beginning. */
  hasRoom(now: number, windowBytes: number): boolean {
    const roundTrips = (now - this.#beganAt) / this.#pathMs;
    this.#rate = Math.min(windowBytes, FIRST_BYTES * GROWTH ** roundTrips) / this.#pathMs;
    const due = this.#bytes + this.#rate * Math.max(0, now - this.#dueAt);
    // A timer that is late makes up for some of it.
    this.#bytes = Math.max(this.#bytes, Math.min(due, LATE_MS * this.#rate));
    this.#dueAt = Math.max(now, this.#dueAt);
    return this.#bytes > 0;
  }

  /** Begins anew: nothing is on its way, and the engine's own window has fallen to its first. */
  begin(now: number): void {
    if (now - this.#wroteAt > ALONE_MS) this.#isOdd = false;
    this.#beganAt = now;
    this.#dueAt = now + this.#pathMs;
    this.#bytes = FIRST_BYTES;
  }

  /** Begins anew without the first bytes at once, since some are still on their way. */
  spread(now: number): void {
    this.#bytes = 0;
    this.#dueAt = now;
  }

  /** Notes another round trip of the path, in milliseconds. */
  measured(pathMs: number): void {
    this.#pathMs = pathMs;
    this.#dueAt = Math.min(this.#dueAt, this.#beganAt + pathMs);
  }

  /** Notes that a frame was handed over. */
  wrote(bytes: number, now: number): void {
    this.#wroteAt = now;
    this.#bytes -= bytes;
    if (Math.ceil(bytes / CHUNK_BYTES) % 2 === 1) this.#isOdd = !this.#isOdd;
  }

  /** Time until there is room, in milliseconds; undefined if there is. */
  retryMs(now: number): number | undefined {
    if (this.#bytes > 0) return undefined;
    const waitMs = Math.max(1, Math.ceil(this.#dueAt - now + (1 - this.#bytes) / this.#rate));
    this.#nextLookAt = now + waitMs;
    return waitMs;
  }
}
