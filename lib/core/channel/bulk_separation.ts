/** Interval of the looks at a channel's connections, in milliseconds. */
export const SEPARATION_LOOK_MS = 50;

/** Most time that one look counts, in milliseconds: a program that computes does not hear answers. */
const MOST_LOOK_MS = 500;

/** The share of a sum that is left after a second: the sum is then that of about a second. */
const KEPT = 0.3;

/** Bytes in about a second that count as bulk data: a path of 128 kbit/s is full of them. */
const BULK_BYTES = 16_384;

/** The share of all bytes that makes a method one of bulk data. */
const BULK_SHARE = 0.25;

/** Most methods that are remembered. */
const MOST_METHODS = 256;

/** Least time between two questions while bulk data begins, and later, in milliseconds. */
const ASK_FIRST_MS = 100, ASK_MS = 500;

/** Time from the first bulk data to the longer interval, in milliseconds. */
const BEGINNING_MS = 2_000;

/** Wait of a question, besides the path's round trip, that lets new calls wait, in milliseconds. */
const LATE_MS = 50;

/**
 * Bytes a millisecond above which they do not: the megabyte that a machine on pion queues then passes in 0.8 s, and
 * another connection beside it takes as long.
 */
const FAST_BYTES_PER_MS = 1_250;

/**
 * Wait of a question, besides the path's round trip, that is worth another connection, in milliseconds; and where the
 * machine limits what it queues, or so much arrives.
 */
const LONG_WAIT_MS = 150, LONG_FAST_WAIT_MS = 500;

/** Bytes that have to arrive during that wait: most of one frame. Shorter answers are over soon. */
const LONG_BYTES = 49_152;

/**
 * The wait that needs no bytes, and the time after bulk data in which it does not, in milliseconds: where a path has become
 * slow, the sender may pause for many seconds.
 */
const STUCK_MS = 1_000, PAUSE_MS = 10_000;

/**
 * Most time that calls wait before another connection is worth its price, and, as long as no question has been answered,
 * with the time of the attempt at one, in milliseconds: that may fail, and takes some 3 s where 1 Mbit/s arrive.
 */
const MOST_HOLD_MS = 3_000, MOST_OPENING_MS = 5_000;

/** Time from an attempt at another connection that failed to the next, in milliseconds. */
const RETRY_MS = 60_000;

/** Time after which a connection for bulk data without calls is closed, in milliseconds. */
const IDLE_MS = 30_000;

/** Time for which a method whose answers kept others waiting is expected to do so again, in milliseconds. */
const EXPECT_MS = 300_000;

/** Knowledge of a machine that outlasts its connections. */
export interface BulkMemory {
  /** True once the machine has answered a question. One that answers none seems full during any download. */
  answers: boolean;
  /** Methods whose answers have kept others waiting. */
  readonly methods: Set<string>;
  /** The last time at which they did. */
  fullAt: number;
}

/** Makes the memory of a machine that nothing is known of. */
export function newBulkMemory(): BulkMemory {
  return { answers: false, methods: new Set(), fullAt: -Infinity };
}

/** The connections of a channel at one moment. */
export interface SeparationSighting {
  /** The connection of small calls, or the only one. */
  readonly main: {
    /** Bytes so far. */
    readonly received: number;
    /** As the engine measures it, in milliseconds. */
    readonly roundTripMs: number | undefined;
    /** False while the machine is doubted or suspected to be gone. */
    readonly isTrusted: boolean;
    /** True if the machine has asked questions, with which it limits what it queues (protocol §4.11). */
    readonly isSteered: boolean;
  };
  /** The connection of bulk data, if there is one: bytes received so far, open calls, and trust as above. */
  readonly bulk:
    | { readonly received: number; readonly calls: number; readonly isTrusted: boolean }
    | undefined;
}

/** The action after a look. */
export type SeparationAction =
  /** Ask a question on the connection of small calls. */
  | "ask"
  /** Open another connection for small calls; the one that there is keeps the bulk data. */
  | "open"
  /** Let the two connections change roles. */
  | "swap"
  /** Close the connection of bulk data. */
  | "close"
  | "nothing";

/** Adds up what arrives, and forgets it within some seconds. */
class Recent {
  #before: number | undefined;
  sum = 0;

  /** Takes a counter that only grows. */
  look(counter: number, kept: number): void {
    this.sum = this.sum * kept + counter - (this.#before ?? counter);
    this.#before = counter;
  }
}

/** A question without an answer. */
interface Question {
  readonly roundTripMs: number;
  /** Bytes received before it. */
  readonly received: number;
  /** True if an answer had begun before. */
  readonly isBeside: boolean;
  waitedMs: number;
}

/**
 * Divides the calls of a channel between two connections when bulk data keeps small calls waiting. A machine may queue
 * any amount of an answer in front of the next one, and does not say so; but it answers questions in order (protocol
 * §4.11). The time of a question, asked when an answer begins and while bulk data arrives, is what a small call would
 * wait. A call cannot be moved, so the connection that is full keeps its calls, and others go to a new one: all but
 * those of methods that have shown large answers. Calls that are not sent yet wait for it.
 */
export class BulkSeparation {
  readonly #memory: BulkMemory;
  #main = new Recent();
  #bulk = new Recent();
  /** Bytes of about the last second, by method. */
  readonly #recent = new Map<string, number>();
  /** The number of single answers of a method that have begun. */
  readonly #begun = new Map<string, number>();
  #lookedAt = 0;
  #question: Question | undefined;
  #askedAt = -Infinity;
  /** Set when an answer has begun, so that a question shows what it brings. */
  #wantsQuestion = false;
  #arrivesSince: number | undefined;
  #arrivedAt = -Infinity;
  #isFull = false;
  #isOpening = false;
  #expectsBulk = false;
  #retryAt = -Infinity;
  #busyAt = 0;
  #heldSince: number | undefined;
  /** Set when calls have waited for as long as is worth it. */
  #hasHeld = false;
  /** Most time that they wait during an attempt, in milliseconds: twice as long as a question did; 0 if none did. */
  #heldMs = 0;

  constructor(memory: BulkMemory) {
    this.#memory = memory;
  }

  /** True if calls of this method go to the connection of bulk data. */
  isBulk(path: string): boolean {
    return this.#memory.methods.has(path);
  }

  /** True while new calls should wait: there is soon another connection for them, or none is needed. */
  get holds(): boolean {
    return this.#heldSince !== undefined;
  }

  /** Notes a call that is about to be opened. Returns true when a look is due before. */
  called(path: string): boolean {
    this.#expectsBulk ||= this.isBulk(path);
    return this.#expectsBulk;
  }

  /**
   * Notes the headers of an answer. Returns true when a look is due.
   *
   * @param isSingle True for an answer of one message, which most often follows at once.
   */
  began(path: string, isSingle: boolean): boolean {
    if (isSingle) this.#begun.set(path, (this.#begun.get(path) ?? 0) + 1);
    else this.#wantsQuestion = true;
    return !isSingle;
  }

  /** Notes that the message of a single answer is there, or does not come. */
  ended(path: string): void {
    const left = (this.#begun.get(path) ?? 0) - 1;
    if (left > 0) this.#begun.set(path, left);
    else this.#begun.delete(path);
  }

  /** Notes a message of an answer. */
  received(path: string, bytes: number): void {
    this.#recent.set(path, (this.#recent.get(path) ?? 0) + bytes);
  }

  /** Notes the answer to the question. */
  answered(): void {
    this.#memory.answers = true;
    const question = this.#question;
    if (question === undefined) return;
    this.#question = undefined;
    this.#heldMs = Math.max(this.#heldMs, 2 * question.waitedMs);
    if (waitOf(question) <= LATE_MS) this.#hasHeld = false;
    if (waitOf(question) <= LONG_WAIT_MS) this.#isFull = false;
    if (!this.#isOpening) this.#heldSince = undefined;
  }

  /** Notes that other connections are in use, or have changed roles. */
  changed(): void {
    this.#isOpening = this.#isFull = this.#hasHeld = false;
    this.#question = this.#heldSince = this.#arrivesSince = undefined;
    this.#arrivedAt = -Infinity;
    this.#main = new Recent();
    this.#bulk = new Recent();
  }

  /** Notes that another connection could not be opened. */
  failed(now: number): void {
    this.#isOpening = false;
    this.#heldSince = undefined;
    this.#retryAt = now + RETRY_MS;
  }

  /**
   * Takes a look at the connections, and returns the action.
   *
   * @param now Milliseconds on any clock that does not go back, here and above.
   */
  look(now: number, sighting: SeparationSighting): SeparationAction {
    const { main, bulk } = sighting;
    const elapsed = Math.min(now - this.#lookedAt, MOST_LOOK_MS);
    this.#lookedAt = now;
    this.#watch(now, elapsed, sighting);
    const mayOpen = bulk === undefined && main.isTrusted && now >= this.#retryAt;
    this.#hold(now, sighting, mayOpen);
    if (bulk !== undefined) {
      if (bulk.calls > 0) this.#busyAt = now;
      else if (this.#isFull && bulk.isTrusted) return "swap";
      else if (now - this.#busyAt >= IDLE_MS) return "close";
    } else {
      this.#busyAt = now;
      const isExpected = this.#expectsBulk && now - this.#memory.fullAt < EXPECT_MS;
      if ((this.#isFull || isExpected) && mayOpen && !this.#isOpening) {
        this.#expectsBulk = false;
        this.#isOpening = true;
        return "open";
      }
    }
    this.#expectsBulk = false;
    if (this.#question !== undefined || !this.#mayAsk(now)) return "nothing";
    const isBeside = this.#wantsQuestion || this.#arrivesSince !== undefined;
    if (isBeside) this.#askedAt = now;
    this.#question = {
      roundTripMs: main.roundTripMs ?? 0,
      received: main.received,
      isBeside,
      waitedMs: 0,
    };
    this.#wantsQuestion = false;
    return "ask";
  }

  #watch(now: number, elapsed: number, { main, bulk }: SeparationSighting): void {
    const kept = KEPT ** (elapsed / 1_000);
    this.#main.look(main.received, kept);
    this.#bulk.look(bulk?.received ?? 0, kept);
    const question = this.#question;
    if (question !== undefined) question.waitedMs += elapsed;
    if (this.#begun.size > 0) this.#wantsQuestion = true;
    const arrives = this.#main.sum >= BULK_BYTES;
    if (arrives) {
      this.#arrivesSince ??= now;
      this.#arrivedAt = now;
    } else this.#arrivesSince = undefined;
    if (now - this.#arrivedAt > PAUSE_MS || (question === undefined && !arrives)) this.#isFull = false;
    else if (question !== undefined && this.#memory.answers) this.#isFull ||= isLong(question, main);
    if (this.#isFull) this.#memory.fullAt = now;
    this.#learn(this.#isFull || bulk !== undefined, kept);
  }

  /** Lets calls wait while a question is late, for as long as that promises an earlier answer to them. */
  #hold(now: number, { main }: SeparationSighting, mayOpen: boolean): void {
    const question = this.#question;
    if (this.#heldSince === undefined) {
      if (question === undefined || !this.#memory.answers || !mayOpen || this.#hasHeld || main.isSteered) {
        return;
      }
      const isLate = question.isBeside && question.waitedMs > lateAfterMs(question.roundTripMs) &&
        !isFast(question, main.received);
      if (!isLate) return;
      this.#heldSince = now;
      this.#heldMs = 0;
      return;
    }
    const mostMs = !this.#isOpening ? MOST_HOLD_MS : this.#heldMs > 0 ? this.#heldMs : MOST_OPENING_MS;
    this.#hasHeld = now - this.#heldSince > mostMs;
    // A sender that begins slowly may be fast soon.
    const isNeeded = this.#isOpening ||
      (mayOpen && (question === undefined || !isFast(question, main.received)));
    if (this.#hasHeld || !isNeeded) this.#heldSince = undefined;
  }

  #mayAsk(now: number): boolean {
    const since = now - this.#askedAt;
    if (this.#arrivesSince !== undefined) {
      return since >= (now - this.#arrivesSince < BEGINNING_MS ? ASK_FIRST_MS : ASK_MS);
    }
    return this.#wantsQuestion ? since >= ASK_FIRST_MS : !this.#memory.answers;
  }

  /** Remembers the methods that most of the bytes belong to, while it matters. */
  #learn(matters: boolean, kept: number): void {
    const most = Math.max(BULK_BYTES, BULK_SHARE * (this.#main.sum + this.#bulk.sum));
    const { methods } = this.#memory;
    const add = (path: string) => matters && methods.size < MOST_METHODS && methods.add(path);
    // A message that is not whole after so long is a large one.
    if (this.#isFull) { for (const path of this.#begun.keys()) add(path); }
    for (const [path, bytes] of this.#recent) {
      if (bytes >= most) add(path);
      if (bytes < 1) this.#recent.delete(path);
      else this.#recent.set(path, bytes * kept);
    }
  }
}

/** The time without an answer after which a question is late, in milliseconds. */
export function lateAfterMs(roundTripMs: number): number {
  return roundTripMs + Math.max(LATE_MS, roundTripMs / 2);
}

/** True if a question without an answer shows that small calls wait for long, and go on to. */
function isLong(question: Question, { received, isSteered }: SeparationSighting["main"]): boolean {
  const arrived = received - question.received;
  const mayEnd = isSteered || isFast(question, received);
  const leastMs = arrived < LONG_BYTES ? STUCK_MS : mayEnd ? LONG_FAST_WAIT_MS : LONG_WAIT_MS;
  return waitOf(question) > leastMs;
}

/** True if so much has arrived since a question that its answer is not far. */
function isFast(question: Question, received: number): boolean {
  return received - question.received > FAST_BYTES_PER_MS * question.waitedMs;
}

/** The wait of a question besides the path's round trip, in milliseconds. */
function waitOf({ roundTripMs, waitedMs }: Question): number {
  return waitedMs - roundTripMs;
}
