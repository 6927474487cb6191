import {
  type BulkMemory,
  BulkSeparation,
  lateAfterMs,
  SEPARATION_LOOK_MS,
} from "../core/channel/bulk_separation.ts";
import { messageOf } from "../core/error_message.ts";
import { answersOne } from "../core/grpc/stream_kind.ts";
import type { Call, CallEnd, CallListener, CallRequest, Carrier } from "../rpc/carrier.ts";
import type { Life, LifeSign } from "../rpc/life.ts";
import { createBackground } from "../runtime/background.ts";
import { linkAbort, type LinkedAbort } from "../runtime/linked_abort.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";
import type { Metadata } from "../core/grpc/metadata.ts";
import type { Link, Loss } from "./link.ts";
import type { WireStats } from "./stats.ts";

/** A link that tells of its life and of its traffic. */
export type WatchedLink = Link & {
  readonly life: Life;
  readonly wire: () => WireStats;
  /** True if the machine limits what it queues. */
  readonly isSteered: () => boolean;
};

/** Settings of a divided link. */
export interface SeparationOptions {
  /** Knowledge of the machine from connections before. */
  readonly memory: BulkMemory;
  /** Makes another link to the same machine, in one careful attempt, which ends with the signal at the latest. */
  readonly connect: (signal: AbortSignal) => Promise<WatchedLink>;
  readonly log: (message: string) => void;
  /** The caller's signal: aborts attempts. */
  readonly signal: AbortSignal | undefined;
  /** A clock in milliseconds, and the interval of its looks. */
  readonly clock?: { readonly now: () => number; readonly lookMs: number };
}

/** Bounds an attempt at a second connection, in milliseconds. Nobody waits for it. */
const ATTEMPT_MS = 10_000;

const CLOCK = { now: () => performance.now(), lookMs: SEPARATION_LOOK_MS };

/** One of the connections. */
interface Connection {
  readonly link: WatchedLink;
  sign: Exclude<LifeSign, "idle">;
}

/**
 * Gives bulk data a connection of its own once small calls have to wait for it, and for as long as there is any
 * (`bulk_separation.ts` of core). The connection that is full keeps the calls that it has; new ones go to another, which
 * becomes the main one, and wait for it where that is sooner. The link is lost with the last of its connections: the
 * loss of one ends the calls on that alone.
 */
export function separateBulk(
  first: WatchedLink,
  { memory, connect, log, signal, clock = CLOCK }: SeparationOptions,
): Link {
  const separation = new BulkSeparation(memory);
  let main: Connection = { link: first, sign: "alive" };
  let bulk: Connection | undefined;
  let opening: LinkedAbort | undefined;
  /** The number of the last question, of which alone the answer counts. */
  let question = 0;
  let looking: ReturnType<typeof setInterval> | undefined;
  /** A look when the question is late. */
  let late: ReturnType<typeof setTimeout> | undefined;
  let tell: (sign: LifeSign) => void = () => {};
  /** The last sign that was told, "idle" aside. */
  let told: LifeSign = "alive";
  /** Set when another link has taken over, or this one is lost or closed. */
  let isOver = false;
  const lost = Promise.withResolvers<Loss>();
  /** The attempt, and ends of connections that are not used any more. */
  const background = createBackground();
  let closing: Promise<void> | undefined;

  const both = () => bulk === undefined ? [main] : [main, bulk];
  const calls = () => both().reduce((sum, { link }) => sum + link.life.calls, 0);

  followEnd(main);
  // Before there is bulk data, it shows whether the machine answers questions.
  look();

  function followEnd(connection: Connection): void {
    void connection.link.lost.then((loss) => end(connection, loss));
  }

  function followLife(connection: Connection): void {
    connection.link.life.listen((sign) => {
      if (sign === "idle") {
        if (calls() === 0) tell(sign);
        return;
      }
      connection.sign = sign;
      report();
    });
  }

  /** Tells what new calls should do. */
  function report(): void {
    const { sign } = main;
    const next = sign === "alive" && separation.holds ? "doubted" : sign;
    if (next === told || isOver) return;
    told = next;
    tell(next);
  }

  function end(connection: Connection, loss: Loss): void {
    if (closing !== undefined || !both().includes(connection)) return;
    if (bulk === undefined) {
      stop();
      return lost.resolve(loss);
    }
    background.add(connection.link.close());
    const left = connection === main ? bulk : main;
    use(left, undefined);
    log(`one of two connections is lost: ${loss.error.message}`);
    if (calls() === 0) tell("idle");
    if (isOver) return;
    // What ended the one may have ended the other.
    if (left.sign === "alive") left.link.life.doubt();
    report();
  }

  function use(nextMain: Connection, nextBulk: Connection | undefined): void {
    main = nextMain;
    bulk = nextBulk;
    question++;
    separation.changed();
  }

  function begin(): void {
    if (looking !== undefined || isOver) return;
    looking = setInterval(() => {
      if (bulk === undefined && opening === undefined && calls() === 0 && !separation.holds) rest();
      else look();
    }, clock.lookMs);
    // The connections keep the process alive, until they are closed.
    unrefTimer(looking);
  }

  function rest(): void {
    clearInterval(looking);
    clearTimeout(late);
    looking = undefined;
  }

  function stop(): void {
    isOver = true;
    rest();
    const attempt = opening;
    opening = undefined;
    attempt?.abort(new DOMException("no longer needed", "AbortError"));
  }

  function look(): void {
    if (isOver) return;
    const { bytesReceived, roundTripMs } = main.link.wire();
    const action = separation.look(clock.now(), {
      main: {
        received: bytesReceived,
        roundTripMs,
        isTrusted: main.sign === "alive",
        isSteered: main.link.isSteered(),
      },
      bulk: bulk === undefined ? undefined : {
        received: bulk.link.wire().bytesReceived,
        calls: bulk.link.life.calls,
        isTrusted: bulk.sign === "alive",
      },
    });
    switch (action) {
      case "ask":
        ask(roundTripMs ?? 0);
        break;
      case "open":
        background.add(open());
        break;
      case "swap":
        use(bulk!, main);
        break;
      case "close":
        background.add(bulk!.link.close());
        use(main, undefined);
    }
    report();
  }

  function ask(roundTripMs: number): void {
    const asked = ++question;
    clearTimeout(late);
    // Each call that goes out before calls wait may take seconds.
    late = setTimeout(look, lateAfterMs(roundTripMs) + 1);
    unrefTimer(late);
    main.link.life.ask(() => {
      if (asked !== question) return;
      clearTimeout(late);
      separation.answered();
      report();
    });
  }

  async function open(): Promise<void> {
    const attempt = opening = linkAbort([signal], { timeoutMs: ATTEMPT_MS });
    try {
      const next = await connect(attempt.signal);
      if (opening !== attempt) return await next.close();
      if (next.path().kind === "relay" && main.link.path().kind !== "relay") {
        await next.close();
        throw new Error("it would lead through a relay");
      }
      const connection: Connection = { link: next, sign: "alive" };
      followLife(main);
      use(connection, main);
      followLife(connection);
      followEnd(connection);
      log("small calls have a connection beside that of bulk data");
    } catch (error) {
      if (opening !== attempt) return;
      separation.failed(clock.now());
      log(`no second connection: ${messageOf(error)}`);
    } finally {
      attempt.release();
      if (opening === attempt) {
        opening = undefined;
        // Calls that have waited go out, be it on the new connection.
        report();
      }
    }
  }

  const carrier: Carrier = {
    open(request, listener) {
      begin();
      if (separation.called(request.path)) look();
      const toBulk = bulk?.sign === "alive" && request.urgent !== true && separation.isBulk(request.path);
      const { link } = toBulk ? bulk! : main;
      const call = new SeparatedCall(request, listener, separation, look);
      return call.attach(link.carrier.open(request, call));
    },
    close: () => close(),
  };

  function close(): Promise<void> {
    closing ??= (async () => {
      stop();
      try {
        await Promise.all(both().map(({ link }) => link.close()));
      } finally {
        await background.over();
      }
    })();
    return closing;
  }

  return {
    kind: first.kind,
    carrier,
    authorization: first.authorization,
    baseUrl: first.baseUrl,
    lost: lost.promise,
    life: {
      get calls() {
        return calls();
      },
      listen(listener) {
        tell = listener;
        for (const connection of both()) followLife(connection);
      },
      doubt() {
        for (const { link } of both()) link.life.doubt();
      },
      ask: (answered) => main.link.life.ask(answered),
      replace() {
        stop();
        for (const { link } of both()) link.life.replace();
      },
    },
    path: () => main.link.path(),
    wire: () => main.link.wire(),
    bulkWire: () => bulk?.link.wire(),
    close,
  };
}

/** A call whose answer is watched. */
class SeparatedCall implements Call, CallListener {
  readonly #request: CallRequest;
  readonly #listener: CallListener;
  readonly #separation: BulkSeparation;
  readonly #look: () => void;
  #call!: Call;
  /** True from the headers of an answer to its message, of which there is one. */
  #hasBegun = false;

  constructor(request: CallRequest, listener: CallListener, separation: BulkSeparation, look: () => void) {
    this.#request = request;
    this.#listener = listener;
    this.#separation = separation;
    this.#look = look;
  }

  attach(call: Call): this {
    this.#call = call;
    return this;
  }

  headers(read: () => Metadata): void {
    const { path, kind } = this.#request;
    this.#hasBegun = answersOne(kind);
    const isDue = this.#separation.began(path, this.#hasBegun);
    this.#listener.headers(read);
    if (isDue) this.#look();
  }

  message(bytes: Uint8Array): void {
    this.#over();
    this.#separation.received(this.#request.path, bytes.length);
    this.#listener.message(bytes);
  }

  end(end: CallEnd): void {
    this.#over();
    this.#listener.end(end);
  }

  send(message: Uint8Array, last: boolean): Promise<void> | undefined {
    return this.#call.send(message, last);
  }

  halfClose(): void {
    this.#call.halfClose();
  }

  reset(): void {
    this.#over();
    this.#call.reset();
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  #over(): void {
    if (this.#hasBegun) this.#separation.ended(this.#request.path);
    this.#hasBegun = false;
  }
}
