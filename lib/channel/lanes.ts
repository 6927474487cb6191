import { Lanes, LANES_LOOK_MS } from "../core/channel/lanes.ts";
import { messageOf } from "../core/error_message.ts";
import type { CallEnd, CallListener, Carrier } from "../rpc/carrier.ts";
import type { Life, LifeSign } from "../rpc/life.ts";
import { createBackground } from "../runtime/background.ts";
import { linkAbort, type LinkedAbort } from "../runtime/linked_abort.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";
import type { Metadata } from "../core/grpc/metadata.ts";
import type { Link, Loss } from "./link.ts";
import type { WireStats } from "./stats.ts";

/** A link that tells of its life and of its traffic. */
export type WatchedLink = Link & { readonly life: Life; readonly wire: () => WireStats };

/** Settings of a divided link. */
export interface LanesOptions {
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

const CLOCK = { now: () => performance.now(), lookMs: LANES_LOOK_MS };

/** One of the connections. */
interface Lane {
  readonly link: WatchedLink;
  sign: Exclude<LifeSign, "idle">;
}

/**
 * Gives bulk data a connection of its own once small calls have to wait for it, and for as long as there is any
 * (`lanes.ts` of core). The connection that is full keeps the calls that it has; new ones go to another, which becomes
 * the main one. The link is lost with the last of its connections: the loss of one ends the calls on that alone.
 */
export function divideLink(first: WatchedLink, { connect, log, signal, clock = CLOCK }: LanesOptions): Link {
  const lanes = new Lanes();
  let main: Lane = { link: first, sign: "alive" };
  let bulk: Lane | undefined;
  let opening: LinkedAbort | undefined;
  /** The number of the last question, of which alone the answer counts. */
  let question = 0;
  let looking: ReturnType<typeof setInterval> | undefined;
  let tell: (sign: LifeSign) => void = () => {};
  /** Set when another link has taken over, or this one is lost or closed. */
  let isOver = false;
  const lost = Promise.withResolvers<Loss>();
  /** The attempt, and ends of connections that are not used any more. */
  const background = createBackground();
  let closing: Promise<void> | undefined;

  const both = () => bulk === undefined ? [main] : [main, bulk];
  const calls = () => both().reduce((sum, { link }) => sum + link.life.calls, 0);

  followEnd(main);

  function followEnd(lane: Lane): void {
    void lane.link.lost.then((loss) => end(lane, loss));
  }

  function followLife(lane: Lane): void {
    lane.link.life.listen((sign) => {
      if (sign === "idle") {
        if (calls() === 0) tell(sign);
        return;
      }
      lane.sign = sign;
      if (lane !== main) return;
      // An attempt under way is the one that suspicion would begin.
      tell(sign === "suspected" && opening !== undefined ? "doubted" : sign);
    });
  }

  function end(lane: Lane, loss: Loss): void {
    if (closing !== undefined || !both().includes(lane)) return;
    if (bulk === undefined) {
      stop();
      return lost.resolve(loss);
    }
    background.add(lane.link.close());
    const left = lane === main ? bulk : main;
    use(left, undefined);
    log(`one of two connections is lost: ${loss.error.message}`);
    if (calls() === 0) tell("idle");
    if (isOver) return;
    // What ended the one may have ended the other.
    if (left.sign === "alive") left.link.life.doubt();
    else tell(left.sign);
  }

  function use(nextMain: Lane, nextBulk: Lane | undefined): void {
    main = nextMain;
    bulk = nextBulk;
    question++;
    lanes.changed();
  }

  function begin(): void {
    if (looking !== undefined || isOver) return;
    looking = setInterval(look, clock.lookMs);
    // The connections keep the process alive, until they are closed.
    unrefTimer(looking);
  }

  function rest(): void {
    clearInterval(looking);
    looking = undefined;
  }

  function stop(): void {
    isOver = true;
    rest();
    drop();
  }

  function look(): void {
    if (bulk === undefined && opening === undefined && calls() === 0) return rest();
    const { bytesReceived, roundTripMs } = main.link.wire();
    const action = lanes.look(clock.now(), {
      main: { received: bytesReceived, roundTripMs, isTrusted: main.sign === "alive" },
      bulk: bulk === undefined ? undefined : {
        received: bulk.link.wire().bytesReceived,
        calls: bulk.link.life.calls,
        isTrusted: bulk.sign === "alive",
      },
    });
    switch (action) {
      case "ask": {
        const asked = ++question;
        return main.link.life.ask(() => {
          if (asked === question) lanes.answered();
        });
      }
      case "open":
        return void background.add(open());
      case "swap":
        use(bulk!, main);
        // Calls may wait for the answer to a doubt about the other one.
        return tell(main.sign);
      case "close": {
        background.add(bulk!.link.close());
        return use(main, undefined);
      }
    }
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
      const lane: Lane = { link: next, sign: "alive" };
      followLife(main);
      use(lane, main);
      followLife(lane);
      followEnd(lane);
      // Calls that waited for the answer to a doubt about the other connection go out on this one.
      tell("alive");
      log("small calls have a connection beside that of bulk data");
    } catch (error) {
      if (opening !== attempt) return;
      lanes.failed(clock.now());
      log(`no second connection: ${messageOf(error)}`);
      if (main.sign === "suspected") tell("suspected");
    } finally {
      attempt.release();
      if (opening === attempt) opening = undefined;
    }
  }

  /** Gives an attempt up. */
  function drop(): void {
    const attempt = opening;
    opening = undefined;
    attempt?.abort(new DOMException("no longer needed", "AbortError"));
  }

  const carrier: Carrier = {
    open(request, listener) {
      begin();
      const toBulk = bulk?.sign === "alive" && request.urgent !== true && lanes.isBulk(request.path);
      const { link } = toBulk ? bulk! : main;
      return link.carrier.open(request, new CountedListener(listener, request.path, lanes));
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
        for (const lane of both()) followLife(lane);
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

/** Tells how much a call receives, besides passing it on. */
class CountedListener implements CallListener {
  readonly #listener: CallListener;
  readonly #path: string;
  readonly #lanes: Lanes;

  constructor(listener: CallListener, path: string, lanes: Lanes) {
    this.#listener = listener;
    this.#path = path;
    this.#lanes = lanes;
  }

  headers(read: () => Metadata): void {
    this.#listener.headers(read);
  }

  message(bytes: Uint8Array): void {
    this.#lanes.received(this.#path, bytes.length);
    this.#listener.message(bytes);
  }

  end(end: CallEnd): void {
    this.#listener.end(end);
  }
}
