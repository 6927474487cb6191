/** Interval of the looks at a channel's connections, in milliseconds. */
export const LANES_LOOK_MS = 250;

/** The share of a sum that is left after a look: the sum is then that of about a second. */
const KEPT = 0.75;

/** Bytes in about a second that count as bulk data: a path of 128 kbit/s is full of them. */
const BULK_BYTES = 16_384;

/** The share of all bytes that makes a method one of bulk data. */
const BULK_SHARE = 0.25;

/** Most methods that are remembered. */
const MOST_METHODS = 256;

/** Least time between two questions, in milliseconds. */
const ASK_MS = 1_000;

/** Wait of a question, besides the path's round trip, that is worth another connection, in milliseconds. */
const LONG_WAIT_MS = 500;

/** Time from an attempt at another connection that failed to the next, in milliseconds. */
const RETRY_MS = 60_000;

/** Time after which a connection for bulk data without calls is closed, in milliseconds. */
const IDLE_MS = 30_000;

/** The connections of a channel at one moment. */
export interface LanesSighting {
  /** The connection of small calls, or the only one. */
  readonly main: {
    /** Bytes so far. */
    readonly received: number;
    /** As the engine measures it, in milliseconds. */
    readonly roundTripMs: number | undefined;
    /** False while the machine is doubted or suspected to be gone. */
    readonly isTrusted: boolean;
  };
  /** The connection of bulk data, if there is one: bytes received so far, open calls, and trust as above. */
  readonly bulk:
    | { readonly received: number; readonly calls: number; readonly isTrusted: boolean }
    | undefined;
}

/** The action after a look. */
export type LanesAction =
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

  /** Takes a counter that only grows. Returns its growth. */
  look(counter: number): number {
    const growth = counter - (this.#before ?? counter);
    this.#before = counter;
    this.sum = this.sum * KEPT + growth;
    return growth;
  }
}

/**
 * Divides the calls of a channel between two connections when bulk data keeps small calls waiting. A machine may queue
 * any amount of an answer in front of the next one, and does not say so; but it answers questions in order (protocol
 * §4.11). While bulk data arrives, the time of a question is what a small call would wait. A call cannot be moved, so
 * the connection that is full keeps its calls, and others go to a new one: all but those of methods that have shown
 * large answers.
 */
export class Lanes {
  #main = new Recent();
  #bulk = new Recent();
  /** Bytes of about the last second, by method. */
  readonly #recent = new Map<string, number>();
  readonly #methods = new Set<string>();
  #lookedAt = 0;
  #question: { readonly roundTripMs: number; waitedMs: number } | undefined;
  #askedAt = -Infinity;
  #isFull = false;
  #isOpening = false;
  #retryAt = -Infinity;
  #busyAt = 0;

  /** True if calls of this method go to the connection of bulk data. */
  isBulk(path: string): boolean {
    return this.#methods.has(path);
  }

  /** Notes a message of an answer. */
  received(path: string, bytes: number): void {
    this.#recent.set(path, (this.#recent.get(path) ?? 0) + bytes);
  }

  /** Notes the answer to the question. */
  answered(): void {
    if (this.#question === undefined) return;
    if (!isLong(this.#question)) this.#isFull = false;
    this.#question = undefined;
  }

  /** Notes that other connections are in use, or have changed roles. */
  changed(): void {
    this.#isOpening = false;
    this.#isFull = false;
    this.#question = undefined;
    this.#main = new Recent();
    this.#bulk = new Recent();
  }

  /** Notes that another connection could not be opened. */
  failed(now: number): void {
    this.#isOpening = false;
    this.#retryAt = now + RETRY_MS;
  }

  /**
   * Takes a look at the connections, and returns the action.
   *
   * @param now Milliseconds on any clock that does not go back, here and above.
   */
  look(now: number, { main, bulk }: LanesSighting): LanesAction {
    // A program that computes does not hear answers, so not all of that time counts as a wait.
    const elapsed = Math.min(now - this.#lookedAt, 2 * LANES_LOOK_MS);
    this.#lookedAt = now;
    const arrived = this.#main.look(main.received);
    this.#bulk.look(bulk?.received ?? 0);
    const arrives = this.#main.sum >= BULK_BYTES;
    if (this.#question !== undefined) this.#question.waitedMs += elapsed;
    // Where nothing arrives, the question waits for another reason.
    if (!arrives) this.#isFull = false;
    else if (arrived > 0 && isLong(this.#question)) this.#isFull = true;
    this.#learn(this.#isFull || bulk !== undefined);
    if (bulk !== undefined) {
      if (bulk.calls > 0) this.#busyAt = now;
      else if (this.#isFull && bulk.isTrusted) return "swap";
      else if (now - this.#busyAt >= IDLE_MS) return "close";
    } else {
      this.#busyAt = now;
      if (this.#isFull && main.isTrusted && !this.#isOpening && now >= this.#retryAt) {
        this.#isOpening = true;
        return "open";
      }
    }
    if (!arrives || this.#question !== undefined || now - this.#askedAt < ASK_MS) return "nothing";
    this.#askedAt = now;
    this.#question = { roundTripMs: main.roundTripMs ?? 0, waitedMs: 0 };
    return "ask";
  }

  /** Remembers the methods that most of the bytes belong to, while it matters. */
  #learn(matters: boolean): void {
    const most = Math.max(BULK_BYTES, BULK_SHARE * (this.#main.sum + this.#bulk.sum));
    for (const [path, bytes] of this.#recent) {
      if (matters && bytes >= most && this.#methods.size < MOST_METHODS) this.#methods.add(path);
      if (bytes < 1) this.#recent.delete(path);
      else this.#recent.set(path, bytes * KEPT);
    }
  }
}

function isLong(question: { readonly roundTripMs: number; readonly waitedMs: number } | undefined): boolean {
  return question !== undefined && question.waitedMs > LONG_WAIT_MS + question.roundTripMs;
}
