import { Pacing } from "./pacing.ts";

/** Window of a path that nothing is known of yet, in bytes: a small call behind it waits 260 ms at 1 Mbit/s. */
const FIRST_WINDOW_BYTES = 32_768;

/** Smallest window, in bytes: several packets, so that those after a lost one report it. */
const MIN_WINDOW_BYTES = 18_432;

/** Largest window, in bytes: the engine's own buffer holds it and leaves room for control frames. */
const MAX_WINDOW_BYTES = 3_670_016;

/**
 * Largest window of a paced path, in bytes: the engines on the other side have room for 1 MiB, of which each packet
 * takes 256 bytes more than it has.
 */
const MAX_PACED_WINDOW_BYTES = 800_000;

/** Pace towards a peer that answers no questions, in bytes a millisecond: some 5 Mbit/s. */
const UNANSWERED_BYTES_PER_MS = 640;

/** Silence after which a peer counts as one that answers no questions, in milliseconds. */
const UNANSWERED_MS = 5_000;

/**
 * The delay that bulk data may add to a path's own, in milliseconds: so much and a share of that, up to a bound. When the
 * path becomes slow, all that is on its way has to be delivered at the rate that is left before a small call is.
 */
const LEAST_QUEUE_MS = 5, QUEUE_SHARE = 0.25, MOST_QUEUE_MS = 35;

/** The least within one computer: its path does not become slow, and both programs and the engine share its processors. */
const LEAST_LOCAL_QUEUE_MS = 10;

/** Time by which answers tell too late on a paced path, in milliseconds at least, and as a share of the round trip. */
const LEAST_LATE_MS = 8, LATE_SHARE = 0.25;

/** Time after which the least round trip is measured anew, in milliseconds: the path may have become longer. */
const LEAST_AGE_MS = 10_000;

/** Rounds after which a queue that no smaller window shortens is a longer path. */
const LATE_ROUNDS = 4;

/** Time without bulk data after which a path counts as unknown, in milliseconds. */
const IDLE_MS = 10_000;

/** Smallest distance of two questions, in bytes: a question and its answer take 1 % of it. */
const MIN_QUESTION_BYTES = 6_144;

/** Interval of the looks at the pace towards a peer that answers nothing, in milliseconds. */
const PACE_MS = 20;

/** Most questions without an answer: a window that became smaller has more than its share on the way. */
const MAX_OPEN_QUESTIONS = 32;

/** Questions in one window, and answers that have to agree that there is a queue: a lost packet delays some. */
const QUESTIONS_PER_WINDOW = 4;

/** Growth of the rate that lets a window start on, and rounds without it after which it holds what it has. */
const MIN_GROWTH = 1.25, START_ROUNDS = 2;

/** Growth of a window in a round trip while there is no queue: the more of one there is, the less. */
const MOST_GROWTH = 0.25;

/**
 * The window of a start, in what the path holds at the rate of the last answers. The engine's own window grows by half,
 * or doubles, in a round trip while it is full; when it has nothing to send, it falls to what is on its way.
 */
const START_FACTOR = 3.5;

/** The same on a paced path, which does not let it have nothing to send. */
const PACED_START_FACTOR = 2;

/** A path stalls when an answer is late by three times the delay that bulk data may add, and by this at least. */
const STALLED_MS = 120;

/** On a paced path, an answer is late by this; while one is, half as much is handed over. */
const LATE_MS = 40;

/** Answers whose rates count: those of two windows. */
const RATES = 2 * QUESTIONS_PER_WINDOW;

/** Smallest frame of bulk data, in bytes: it fills one packet of the engine. */
const MIN_FRAME_BYTES = 1_100;

interface Start {
  /** The best rate so far, and rounds without a better one. */
  rate: number;
  rounds: number;
  /** The window at the begin of the round. */
  window: number;
  /** The path's round trip as the engine measures it: the first questions wait in our own queue. */
  pathMs: number;
}

function firstStart(): Start {
  return { rate: 0, rounds: 0, window: FIRST_WINDOW_BYTES, pathMs: Infinity };
}

interface Question {
  readonly askedAt: number;
  /** Bytes handed over before it. */
  readonly handed: number;
  /** Bytes known to be delivered when it was asked, when that was known, and when they were handed over. */
  readonly delivered: number;
  readonly deliveredAt: number;
  readonly deliveredHandedAt: number;
}

/** A path as its window sees it. */
export interface PathEstimate {
  /** Bytes that may be on their way at once. */
  readonly windowBytes: number;
  /** Bytes a second that were delivered lately; undefined before the first answer. */
  readonly bytesPerSecond: number | undefined;
  /** Least time from a question to its answer, in milliseconds; undefined before the first answer. */
  readonly roundTripMs: number | undefined;
  /** Time that questions waited beyond that lately, in milliseconds. */
  readonly queueMs: number | undefined;
}

/**
 * Steers how many bytes are on their way on an ordered channel by what a small call would wait there. The engine says
 * neither what was delivered nor when; the answer to a small question on the same channel says both. A window that
 * grows until questions wait, and is then held there, uses the whole path and keeps the wait short (protocol §4.11).
 */
export class DeliveryWindow {
  readonly #maxFrameBytes: number;
  readonly #questions = new Map<number, Question>();
  #window = FIRST_WINDOW_BYTES;
  #handed = 0;
  #delivered = 0;
  #deliveredAt = 0;
  #deliveredHandedAt = 0;
  #lastAsked = 0;
  #wroteAt = 0;
  /** Set while the window follows the rate. */
  #start: Start | undefined = firstStart();
  #isAnswered = false;
  /** Pacing towards a peer that answers nothing: when it was last given room. */
  #pacedAt: number | undefined;
  #least: number | undefined;
  #leastAt = 0;
  /** Answers in a row that were far too late. */
  #stalled = 0;
  /** Rounds in a row that found a queue. */
  #lateRounds = 0;
  /** Set while the window is kept small to measure the least round trip anew: since when, and the least so far. */
  #draining: { readonly since: number; least: number; answers: number } | undefined;
  /** Round trips of the last answers, the newest last. */
  #recent: number[] = [];
  /** Bytes a millisecond that the last answers showed, the newest last. */
  #rates: number[] = [];
  /** Round trip of the path as the engine measures it: what waits in the engine is no part of it. */
  #pathMs = Infinity;
  /** The next change of the window has to wait for an answer to a question that was asked after this. */
  #changedAt = 0;
  /** True if the window was full since it changed last: one that is not says nothing about a larger one. */
  #wasFull = false;
  /** True once the path's round trip was noted. */
  #isBegun = false;
  #leastQueueMs = LEAST_QUEUE_MS;
  /** Set on a long path. */
  #pacing: Pacing | undefined;
  /** Set while nothing is handed over on a paced path, until nearly all of what the engine has is delivered. */
  #isEmptying = false;

  /** @param maxFrameBytes Largest frame of bulk data, in bytes. */
  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes handed over so far: a mark that `delivered` takes. */
  get handed(): number {
    return this.#handed;
  }

  /** Most bytes of bulk data in the next frame. */
  get frameBytes(): number {
    const share = Math.round(this.#limit() / QUESTIONS_PER_WINDOW);
    if (this.#pacing !== undefined) return Math.min(this.#maxFrameBytes, this.#pacing.frameBytes(share));
    return Math.min(this.#maxFrameBytes, Math.max(MIN_FRAME_BYTES, share));
  }

  /** The path as the answers show it. */
  get estimate(): PathEstimate {
    const queue = this.#least === undefined || this.#recent.length === 0
      ? undefined
      : Math.max(0, Math.min(...this.#recent) - this.#least);
    return {
      windowBytes: this.#limit(),
      bytesPerSecond: this.#rates.length === 0 ? undefined : this.#rate * 1_000,
      roundTripMs: this.#least,
      queueMs: queue,
    };
  }

  /**
   * Tells whether a frame may be handed over now.
   *
   * @param now Milliseconds on any clock that does not go back.
   */
  hasRoom(now: number): boolean {
    if (this.#handed === this.#delivered) this.#pacing?.begin(now);
    const first = this.#questions.values().next().value;
    const waitedMs = first === undefined ? 0 : now - first.askedAt;
    const isStalled = first !== undefined && this.#isStalled(first, waitedMs);
    let most = this.#limit();
    if (this.#pacing !== undefined) {
      const hasPaused = this.#pacing.hasPaused(now) && this.#isAnswered && first !== undefined;
      if (this.#least !== undefined && (hasPaused || isStalled)) this.#empty(this.#least);
      if (this.#isEmptying) return false;
      if (
        !this.#pacing.hasRoom(now, first !== undefined && this.#isLate(first, waitedMs) ? most / 2 : most)
      ) {
        this.#wasFull = true;
        return false;
      }
      if (this.#least !== undefined) most += this.#rate * lateMs(this.#least);
    }
    if (isStalled) {
      // Half of the window keeps the engine busy: its own starts again at ten packets once it has nothing to send.
      most /= 2;
    }
    if (this.#handed - this.#delivered < most) return true;
    this.#wasFull = true;
    return this.#isAnswered ? false : this.#pace(now);
  }

  /** Time after which there may be room though nothing was answered, in milliseconds; undefined if answers decide. */
  retryMs(now: number): number | undefined {
    const first = this.#questions.values().next().value;
    const pacedMs = this.#isEmptying ? undefined : this.#pacing?.retryMs(now);
    if (pacedMs !== undefined) return pacedMs;
    if (this.#isAnswered || first === undefined) return undefined;
    return Math.max(PACE_MS, first.askedAt + UNANSWERED_MS - now);
  }

  /** True while nothing is known of the path, or no longer, so that its round trip is asked for. */
  isBeginning(now: number): boolean {
    if (now - this.#wroteAt > IDLE_MS && this.#handed === this.#delivered) this.#forget();
    return !this.#isBegun && this.#questions.size === 0;
  }

  /**
   * Notes the path's round trip as the engine has measured it before there is bulk data.
   *
   * @param pathMs Milliseconds.
   * @param isLocal Whether the path stays within one computer.
   */
  begin(pathMs: number, now: number, isLocal: boolean): void {
    this.#leastQueueMs = isLocal ? LEAST_LOCAL_QUEUE_MS : LEAST_QUEUE_MS;
    this.#beginPath(pathMs, now);
  }

  #beginPath(pathMs: number, now: number): void {
    this.#isBegun = true;
    if (Pacing.isFor(pathMs)) this.#pacing = new Pacing(now, pathMs);
  }

  /** Notes that a frame was handed over. */
  wrote(bytes: number, now: number): void {
    if (this.#handed === this.#delivered) this.#deliveredAt = this.#deliveredHandedAt = now;
    this.#wroteAt = now;
    this.#handed += bytes;
    this.#pacing?.wrote(bytes, now);
  }

  /** True if a question has to follow what was handed over: too much of it is not known to be delivered. */
  get wantsQuestion(): boolean {
    if (this.#questions.size >= MAX_OPEN_QUESTIONS) return false;
    const distance = Math.max(MIN_QUESTION_BYTES, this.#limit() / QUESTIONS_PER_WINDOW);
    return this.#handed - Math.max(this.#lastAsked, this.#delivered) >= distance;
  }

  /** Notes that a question was handed over, behind everything so far. */
  asked(question: number, now: number): void {
    this.#lastAsked = this.#handed;
    this.#questions.set(question, {
      askedAt: now,
      handed: this.#handed,
      delivered: this.#delivered,
      deliveredAt: this.#deliveredAt,
      deliveredHandedAt: this.#deliveredHandedAt,
    });
  }

  /**
   * Notes an answer. Returns false for one to no question of ours.
   *
   * @param measurePath Returns the round trip of the path as the engine measures it, where it does: without our own
   * queue. Called only where it counts, since it waits for the engine's threads.
   */
  answered(id: number, now: number, measurePath: () => number | undefined = () => undefined): boolean {
    const question = this.#questions.get(id);
    if (question === undefined) return false;
    if (this.#start !== undefined || this.#pacing !== undefined) this.#pathMs = measurePath() ?? Infinity;
    if (this.#start !== undefined) this.#start.pathMs = Math.min(this.#start.pathMs, this.#pathMs);
    this.#questions.delete(id);
    this.#isAnswered = true;
    this.#pacedAt = undefined;
    const before = { delivered: this.#delivered, at: this.#deliveredAt };
    this.delivered(question.handed, now, question.askedAt);
    // Answers that come in a heap have waited somewhere: nothing is delivered faster than it was handed over.
    const elapsed = Math.max(now - question.deliveredAt, question.askedAt - question.deliveredHandedAt);
    const roundTrip = now - question.askedAt;
    this.#stalled = this.#isStalled(question, roundTrip) ? this.#stalled + 1 : 0;
    // What was seen before the path became slow says nothing any more.
    if (this.#stalled === 1) this.#rates = [];
    if (elapsed > 0) {
      let rate = (question.handed - question.delivered) / elapsed;
      if (this.#stalled > 0 && now > before.at) {
        // An answer to a later call may have shown more to be delivered.
        const bytes = Math.max(0, question.handed - before.delivered);
        rate = Math.min(rate, bytes / (now - before.at));
      }
      this.#rates.push(rate);
      if (this.#rates.length > RATES) this.#rates.shift();
    }
    this.#recent.push(roundTrip);
    if (this.#recent.length > QUESTIONS_PER_WINDOW) this.#recent.shift();
    this.#measureLeast(roundTrip, question.askedAt, now);
    this.#pacing?.measured(this.#least!);
    if (this.#pacing !== undefined && this.#stalled > 0) this.#empty(this.#least!);
    if (this.#isEmptying) {
      if (!this.#isLate(question, roundTrip) || this.#questions.size === 0) this.#beginAgain(now);
      return true;
    }
    if (this.#draining === undefined) this.#steer(question.askedAt, now);
    return true;
  }

  /**
   * Notes that everything up to a mark was delivered, as any answer of the peer to it shows.
   *
   * @param handedAt When the last of it was handed over, where that is known.
   */
  delivered(mark: number, now: number, handedAt: number = this.#deliveredHandedAt): void {
    if (mark <= this.#delivered) return;
    this.#delivered = mark;
    this.#deliveredAt = now;
    this.#deliveredHandedAt = handedAt;
  }

  /** The best of the last rates, in bytes a millisecond: a lost packet, or a pause of either program, lowers some. */
  get #rate(): number {
    return Math.max(0, ...this.#rates);
  }

  #limit(): number {
    if (this.#draining === undefined || this.#least === undefined) return this.#window;
    return Math.min(this.#window, Math.max(MIN_WINDOW_BYTES, this.#rate * this.#least / 2));
  }

  /** True if a question that waits so long shows that the path has become much slower. */
  #isStalled(question: Question, waitedMs: number): boolean {
    if (this.#least === undefined || this.#start !== undefined) return false;
    if (this.#pacing !== undefined) return waitedMs > this.#expectedMs(question, this.#least) + STALLED_MS;
    return waitedMs > this.#least + Math.max(STALLED_MS, 3 * this.#queueTarget(this.#least));
  }

  /** True if an answer that takes so long waited in front of the engine's own window, on a paced path. */
  #isLate(question: Question, waitedMs: number): boolean {
    return this.#least !== undefined && waitedMs > this.#expectedMs(question, this.#least) + LATE_MS;
  }

  /** Longest time that a question should take: what the window lets wait, or let when it was asked, and their distance. */
  #expectedMs({ handed, delivered }: Question, least: number): number {
    const bytes = Math.max(this.#window, handed - delivered);
    return Math.max(
      least + this.#queueTarget(least),
      this.#rate > 0 ? bytes / this.#rate + lateMs(least) : 0,
    );
  }

  /**
   * Hands over nothing until the engine has hardly anything left; on a free path, so little that lost packets alone may
   * have delayed it is no reason: a gap costs more than it spares a small call.
   */
  #empty(least: number): void {
    const bytes = this.#handed - this.#delivered;
    if (bytes > 2 * FIRST_WINDOW_BYTES || !this.#isPathFree(least)) this.#isEmptying = true;
  }

  /** Paces from the beginning, since the engine's own window has fallen. */
  #beginAgain(now: number): void {
    const least = this.#least!;
    this.#forget();
    this.#least = least;
    this.#leastAt = this.#changedAt = now;
    this.#stalled = this.#lateRounds = 0;
    this.#beginPath(least, now);
    this.#pacing?.spread(now);
  }

  /** True if what is late waits in the engine, and not on the path. */
  #isPathFree(least: number): boolean {
    return this.#pacing !== undefined && this.#pathMs <= least + this.#queueTarget(least);
  }

  /**
   * The smallest window at present. Where packets get lost, the engine's own window is small and grows only while it is
   * full: so besides what the path holds, several packets wait there.
   */
  #leastWindow(): number {
    const rates = this.#rates, least = this.#least;
    if (least === undefined || rates.length === 0 || !this.#isPathFree(least)) return MIN_WINDOW_BYTES;
    return MIN_WINDOW_BYTES + rates.reduce((sum, rate) => sum + rate, 0) / rates.length * least;
  }

  #queueTarget(least: number): number {
    return Math.min(MOST_QUEUE_MS, this.#leastQueueMs + least * QUEUE_SHARE);
  }

  #measureLeast(roundTrip: number, askedAt: number, now: number): void {
    const draining = this.#draining;
    if (draining !== undefined) {
      if (askedAt < draining.since) return;
      draining.least = Math.min(draining.least, roundTrip);
      // The first one still waited behind what was on its way.
      if (++draining.answers < 3) return;
      this.#draining = undefined;
      this.#least = draining.least;
      this.#leastAt = this.#changedAt = now;
      return;
    }
    if (this.#least === undefined || roundTrip <= this.#least * 1.05 + 1) {
      this.#least = Math.min(this.#least ?? roundTrip, roundTrip);
      this.#leastAt = now;
    } else if (this.#isPathFree(this.#least)) {
      this.#lateRounds = 0;
      if (this.#pathMs <= this.#least * 1.05 + 1) this.#leastAt = now;
    }
    if (now - this.#leastAt > LEAST_AGE_MS || this.#lateRounds >= LATE_ROUNDS) {
      this.#lateRounds = 0;
      this.#draining = { since: now, least: Infinity, answers: 0 };
    }
  }

  /** Changes the window, at most once a round trip; at once where a queue is far too long. */
  #steer(askedAt: number, now: number): void {
    const least = this.#least!;
    const target = least + this.#queueTarget(least);
    const lowest = Math.min(...this.#recent);
    const isRound = askedAt >= this.#changedAt;
    if (this.#start !== undefined) {
      // The rate shows that the engine's own window grows; the queue in front of that shows nothing.
      const start = this.#start;
      if (this.#rate > start.rate * MIN_GROWTH) {
        start.rate = this.#rate;
        start.rounds = 0;
      } else if (isRound && (this.#wasFull || this.#pacing !== undefined)) start.rounds++;
      if (start.rounds === START_ROUNDS || lowest > START_FACTOR * least + target) {
        this.#start = undefined;
        return this.#change(Math.min(this.#rate, this.#window / lowest) * target, now);
      }
      if (isRound) start.window = this.#window;
      const factor = this.#pacing === undefined ? START_FACTOR : PACED_START_FACTOR;
      const bytes = factor * this.#rate * Math.max(Math.min(least, start.pathMs), this.#leastQueueMs);
      return this.#change(
        Math.max(this.#window, Math.min(2 * start.window, bytes)),
        isRound ? now : this.#changedAt,
      );
    }
    if (this.#stalled > 1) {
      this.#change(Math.min(this.#window, Math.max(this.#window / 4, this.#rate * target)), now);
    } else if (lowest > target || this.#stalled > 0) {
      const isFar = lowest > target + this.#queueTarget(least);
      if (isRound && isFar) this.#lateRounds++;
      const isUrgent = isFar && this.#recent.length === QUESTIONS_PER_WINDOW;
      if (isRound || isUrgent) this.#change(Math.max(this.#window / 2, this.#rate * target), now);
    } else if (isRound && this.#wasFull) {
      this.#lateRounds = 0;
      const free = Math.min(1, (target - lowest) / (target - least));
      this.#change(this.#window * (1 + MOST_GROWTH * free), now);
    }
  }

  #change(bytes: number, now: number): void {
    const most = this.#pacing === undefined ? MAX_WINDOW_BYTES : MAX_PACED_WINDOW_BYTES;
    this.#window = Math.round(Math.min(most, Math.max(this.#leastWindow(), bytes)));
    if (now === this.#changedAt) return;
    this.#changedAt = now;
    this.#wasFull = false;
    this.#recent = [];
  }

  /** Lets bytes go at a fixed pace where nothing is answered. */
  #pace(now: number): boolean {
    const first = this.#questions.values().next().value;
    if (first === undefined || now - first.askedAt < UNANSWERED_MS) return false;
    this.#pacing = undefined;
    const since = this.#pacedAt ?? now;
    this.#pacedAt = now;
    this.#delivered = Math.min(this.#handed, this.#delivered + (now - since) * UNANSWERED_BYTES_PER_MS);
    return this.#handed - this.#delivered < this.#window;
  }

  #forget(): void {
    this.#window = FIRST_WINDOW_BYTES;
    this.#start = firstStart();
    this.#least = this.#draining = this.#pacing = undefined;
    this.#isBegun = this.#isEmptying = false;
    this.#rates = [];
    this.#recent = [];
    this.#wasFull = false;
  }
}

function lateMs(least: number): number {
  return Math.max(LEAST_LATE_MS, least * LATE_SHARE);
}
