import { Code, ConnectError } from "@connectrpc/connect";
import type { ICECandidate } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";

/** An offer of a caller. */
export interface Offer {
  readonly uuid: string;
  /** The name of the machine that it is for. */
  readonly host: string;
  /** The encoded session description. */
  readonly sdp: string;
}

/** Receives what happens to an offer, for its caller. Nothing comes after `ended`. */
export interface OfferListener {
  answered(sdp: string): void;
  candidate(candidate: ICECandidate): void;
  /** The answerer is done, or the offer has failed. */
  ended(error: ConnectError | undefined): void;
  /** Neither side will send anything more. */
  closed(): void;
}

/**
 * Receives what the caller sends, for the answerer of its offer. `done` comes at most once, and nothing comes after
 * `failed`.
 */
export interface TakenOfferListener {
  candidate(candidate: ICECandidate): void;
  done(): void;
  /** The caller has failed, or has run out of time. */
  failed(error: ConnectError): void;
}

/**
 * The reports of an answerer on its offer. The first two throw when they come out of order; `done` and `failed` after
 * either of them do nothing.
 */
export interface TakenOffer extends Offer, TakenOfferListener {
  answered(sdp: string): void;
}

/** Takes an offer. */
export type TakeOffer = (offer: TakenOffer) => TakenOfferListener;

interface Exchange {
  readonly offer: Offer;
  readonly caller: OfferListener;
  readonly withheld: boolean;
  answerer?: TakenOfferListener;
  isAnswered?: boolean;
  /** The caller's stream has ended. */
  isCallerEnded?: boolean;
  /** The caller has reported that it is done or has failed. */
  isCallerDone?: boolean;
  isAnswererDone?: boolean;
}

interface Waiter {
  readonly hosts: readonly string[];
  readonly take: TakeOffer;
}

/** Most callers, and most answerers, that may wait for one host (the cloud's limits, protocol §3.7). */
const MAX_CALLERS = 50, MAX_ANSWERERS = 4;

/** Most finished offers that are remembered: a candidate may come late. */
const MAX_FINISHED = 1_000;

/**
 * Passes callers' offers to answerers, and messages between the two (protocol §5.1). It has no timers: its owner
 * expires offers. Unlike goutils' memory queue, it never lets a caller's update wait for the answerer, nor a call for
 * its end.
 */
export class SignalingQueue {
  readonly #exchanges = new Map<string, Exchange>();
  readonly #finished = new Set<string>();
  #waiters: Waiter[] = [];
  /** Hosts that answerers have announced; offers for them wait for an answerer. */
  readonly #announced = new Set<string>();
  readonly #ownAnswerer: TakeOffer | undefined;

  /** @param ownAnswerer Answers offers for hosts that no answerer has announced. */
  constructor(ownAnswerer?: TakeOffer) {
    this.#ownAnswerer = ownAnswerer;
  }

  /**
   * Adds an offer of a caller. Throws when too many wait already.
   *
   * @param withheld Hands the offer to nobody.
   */
  offer(offer: Offer, caller: OfferListener, withheld: boolean = false): void {
    const waiting = Array.from(this.#exchanges.values()).filter((exchange) =>
      exchange.answerer === undefined && exchange.offer.host === offer.host
    );
    if (waiting.length >= MAX_CALLERS) throw tooMany();
    const exchange: Exchange = { offer, caller, withheld };
    this.#exchanges.set(offer.uuid, exchange);
    if (withheld) return;
    const waiter = this.#waiters.find(({ hosts }) => hosts.includes(offer.host));
    if (waiter !== undefined) {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      this.#hand(exchange, waiter.take);
    } else if (this.#ownAnswerer !== undefined && !this.#announced.has(offer.host)) {
      this.#hand(exchange, this.#ownAnswerer);
    }
  }

  /**
   * Registers an answerer that waits for one offer for any of its hosts. Throws when too many wait for one of them
   * already.
   *
   * @returns A function that ends the wait.
   */
  wait(hosts: readonly string[], take: TakeOffer): () => void {
    for (const host of hosts) {
      if (this.#waiters.filter((waiter) => waiter.hosts.includes(host)).length >= MAX_ANSWERERS) {
        throw tooMany();
      }
    }
    for (const host of hosts) this.#announced.add(host);
    for (const exchange of this.#exchanges.values()) {
      if (exchange.withheld || exchange.answerer !== undefined) continue;
      if (!hosts.includes(exchange.offer.host)) continue;
      this.#hand(exchange, take);
      return () => {};
    }
    const waiter: Waiter = { hosts, take };
    this.#waiters.push(waiter);
    return () => this.#waiters = this.#waiters.filter((other) => other !== waiter);
  }

  /** Passes on a candidate of the caller. Throws for an unknown offer. */
  callerCandidate(uuid: string, candidate: ICECandidate): void {
    const exchange = this.#find(uuid);
    if (exchange?.isCallerDone !== true) exchange?.answerer?.candidate(candidate);
  }

  /** Notes that the caller is done. Throws for an unknown offer. */
  callerDone(uuid: string): void {
    const exchange = this.#find(uuid);
    if (exchange === undefined || exchange.isCallerDone) return;
    exchange.isCallerDone = true;
    exchange.answerer?.done();
    this.#settle(exchange);
  }

  /** Fails the offer of a caller that has failed. Throws for an unknown offer. */
  callerFailed(uuid: string, error: ConnectError): void {
    const exchange = this.#find(uuid);
    if (exchange !== undefined) this.#fail(exchange, error);
  }

  /**
   * Notes that the caller has hung up: it is connected, or no longer interested. It receives nothing more. Its offer
   * fails if it cannot be connected.
   *
   * @param reports The caller reports that it is done before it hangs up.
   */
  callerGone(uuid: string, reports: boolean = false): void {
    const exchange = this.#exchanges.get(uuid);
    if (exchange === undefined) return;
    exchange.isCallerEnded = true;
    // Callers hang up as soon as their side of the channel is open.
    if (exchange.isAnswered && (exchange.isCallerDone || !reports)) this.callerDone(uuid);
    else this.#fail(exchange, new ConnectError("the caller is gone", Code.Canceled));
  }

  /** Fails an offer whose time is up. */
  expire(uuid: string): void {
    const exchange = this.#exchanges.get(uuid);
    if (exchange !== undefined) {
      this.#fail(exchange, new ConnectError("context deadline exceeded", Code.DeadlineExceeded));
    }
  }

  /** Ends everything. */
  close(): void {
    const error = new ConnectError("the signaling server is closing", Code.Unavailable);
    this.#waiters = [];
    for (const exchange of this.#exchanges.values()) this.#fail(exchange, error);
  }

  #find(uuid: string): Exchange | undefined {
    const exchange = this.#exchanges.get(uuid);
    if (exchange === undefined && !this.#finished.has(uuid)) {
      throw new ConnectError(`no active offer for ${JSON.stringify(uuid)}`, Code.Unknown);
    }
    return exchange;
  }

  #hand(exchange: Exchange, take: TakeOffer): void {
    const { offer, caller } = exchange;
    const answererEnds = (error: ConnectError | undefined) => {
      if (exchange.isAnswererDone) return;
      exchange.isAnswererDone = true;
      this.#endCaller(exchange, error);
      this.#settle(exchange);
    };
    exchange.answerer = { candidate() {}, done() {}, failed() {} };
    exchange.answerer = take({
      ...offer,
      answered(sdp) {
        if (exchange.isAnswered) throw new ConnectError("got init stage more than once", Code.Unknown);
        exchange.isAnswered = true;
        if (!exchange.isCallerEnded) caller.answered(sdp);
      },
      candidate(candidate) {
        if (!exchange.isAnswered) throw new ConnectError("got update stage before init stage", Code.Unknown);
        if (!exchange.isCallerEnded) caller.candidate(candidate);
      },
      done() {
        if (!exchange.isAnswered) throw new ConnectError("got done stage before init stage", Code.Unknown);
        answererEnds(undefined);
      },
      failed(error) {
        const message = `error from answerer: ${error.rawMessage}`;
        answererEnds(new ConnectError(message, error.code, undefined, undefined, error));
      },
    });
  }

  #endCaller(exchange: Exchange, error: ConnectError | undefined): void {
    if (exchange.isCallerEnded) return;
    exchange.isCallerEnded = true;
    // A caller whose offer has failed sends nothing more.
    if (error !== undefined) exchange.isCallerDone = true;
    exchange.caller.ended(error);
  }

  #fail(exchange: Exchange, error: ConnectError): void {
    if (!exchange.isCallerDone || !exchange.isAnswererDone) {
      exchange.isCallerDone = true;
      exchange.answerer?.failed(error);
    }
    this.#endCaller(exchange, error);
    this.#close(exchange);
  }

  #settle(exchange: Exchange): void {
    if (exchange.isCallerDone && exchange.isAnswererDone) this.#close(exchange);
  }

  #close(exchange: Exchange): void {
    const { uuid } = exchange.offer;
    if (!this.#exchanges.delete(uuid)) return;
    this.#finished.add(uuid);
    const [oldest] = this.#finished;
    if (this.#finished.size > MAX_FINISHED) this.#finished.delete(oldest!);
    exchange.isAnswererDone = true;
    exchange.caller.closed();
  }
}

function tooMany(): ConnectError {
  return new ConnectError("too many connection attempts; please wait a bit and try again", Code.Unavailable);
}
