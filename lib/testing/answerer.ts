import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type ICECandidate, ICECandidateSchema } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import { CallerPresence, LOOK_MS } from "../core/channel/caller_presence.ts";
import {
  candidatesOf,
  decodeSessionDescription,
  encodeSessionDescription,
  firstMediaId,
  isByThisLibrary,
  isLibdatachannel,
  withoutCandidates,
} from "../core/ice/session_description.ts";
import { type Engine, type EngineIceServer, loadEngine, type Peer } from "../webrtc/peer.ts";
import type { ChannelServer } from "./channel_server.ts";
import type { TakenOffer, TakenOfferListener } from "./signaling_queue.ts";

/** An offer to answer. The answer comes before any candidate, and `done` once the data channel is open. */
export type OpenOffer = Omit<TakenOffer, "uuid" | "host">;

/** Answers offers, and serves the resulting data channels. */
export interface Answerer {
  /** Once the channel is open, what the caller still reports has no effect. */
  answer(offer: OpenOffer): TakenOfferListener;
  /** Number of peer connections that are not closed. */
  readonly live: number;
  /** Closes every connection, and waits for the engine for a bounded time. */
  close(): Promise<void>;
}

/** Settings of an answerer. */
export interface AnswererOptions {
  /**
   * Makes the server for an open channel.
   *
   * @param isAnswering Whether the caller answers questions.
   */
  readonly serve: (peer: Peer, isAnswering: boolean) => ChannelServer;
  readonly iceServers?: readonly EngineIceServer[];
}

/** Time from an offer to its open channel, in milliseconds: goutils' offer deadline. */
const OPEN_TIMEOUT_MS = 10_000;

/**
 * Delay of the caller's candidates, in milliseconds. pion nominates a pair at once if a check from this side arrives
 * after its own; one that arrives earlier costs its caller 150 ms.
 */
const CANDIDATE_DELAY_MS = 10;

/** Makes an answerer; the engine is loaded with the first offer. */
export function createAnswerer(options: AnswererOptions): Answerer {
  const closers = new Set<() => Promise<void>>();
  let closed = false;
  return {
    answer(offer) {
      const { call, close } = answerOffer(options, offer, (ended) => closers.delete(ended));
      if (closed) void close();
      else closers.add(close);
      return call;
    },
    get live() {
      return closers.size;
    },
    async close() {
      closed = true;
      await Promise.all(Array.from(closers, (close) => close()));
    },
  };
}

function answerOffer(
  options: AnswererOptions,
  offer: OpenOffer,
  onClosed: (close: () => Promise<void>) => void,
): { call: TakenOfferListener; close: () => Promise<void> } {
  let peer: Peer | undefined;
  let settled = false;
  let closing: Promise<void> | undefined;
  let described = false;
  const found: ICECandidate[] = [];
  /** The caller's candidates that arrived before the engine was loaded. */
  let remote: ICECandidate[] | undefined = [];
  let mid = "0";
  let delayMs = CANDIDATE_DELAY_MS;
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let serving: ChannelServer | undefined;
  let presence: CallerPresence | undefined;
  let watching: ReturnType<typeof setInterval> | undefined;

  later(
    OPEN_TIMEOUT_MS,
    () => fail(new ConnectError("the data channel did not open", Code.DeadlineExceeded)),
  );

  function later(milliseconds: number, run: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      run();
    }, milliseconds);
    timers.add(timer);
  }

  function fail(error: ConnectError): void {
    report(error);
    void close();
  }

  function report(error: ConnectError): void {
    const isNews = !settled;
    settled = true;
    if (isNews) offer.failed(error);
    serving?.fail(error);
  }

  function close(): Promise<void> {
    closing ??= (async () => {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      clearInterval(watching);
      report(new ConnectError("the machine closed the connection", Code.Unavailable));
      await peer?.close();
      onClosed(close);
    })();
    return closing;
  }

  /**
   * Gives up a caller that is gone, long before the engine would, which takes 30 to 40 s. Callers on other engines are
   * left to the engine, since pion answers only 97 of 100 pings.
   */
  function watch(opened: Peer): void {
    if (closing !== undefined || watching !== undefined) return;
    const present = presence = new CallerPresence(performance.now());
    watching = setInterval(() => {
      const todo = present.look(performance.now());
      if (todo === "ask") void opened.ping().then(() => present.seen(performance.now()));
      if (todo === "gone") fail(new ConnectError("the caller gives no sign of life", Code.Unavailable));
    }, LOOK_MS);
  }

  function addCandidate(candidate: ICECandidate): void {
    if (closing !== undefined) return;
    if (remote !== undefined) {
      remote.push(candidate);
      return;
    }
    const line = candidate.candidate.replace(/^(?:a=)?(?:candidate:)?/, "candidate:");
    // A candidate that the engine refuses (an unresolvable name, IPv6) does not fail the offer.
    const add = () => void peer?.addCandidate(line, candidate.sdpMid || mid);
    if (delayMs === 0) add();
    else later(delayMs, add);
  }

  function start(engine: Engine): void {
    if (closing !== undefined) return;
    const { sdp: offered } = decodeSessionDescription(offer.sdp, "offer");
    mid = firstMediaId(offered);
    peer = engine.createPeer({ iceServers: options.iceServers ?? [] }, {
      localDescription(sdp, type) {
        if (type !== "answer") return;
        offer.answered(encodeSessionDescription({ type: "answer", sdp: withoutCandidates(sdp) }));
        described = true;
        for (const candidate of found.splice(0)) offer.candidate(candidate);
        for (const line of candidatesOf(sdp)) offer.candidate(toCandidate(line, mid));
      },
      localCandidate(line, lineMid) {
        const candidate = toCandidate(line, lineMid);
        if (described) offer.candidate(candidate);
        else found.push(candidate);
      },
      gatheringComplete() {},
      state(state) {
        if (state === "failed" || state === "disconnected" || state === "closed") {
          fail(new ConnectError(`the peer connection is ${state}`, Code.Unavailable));
        }
      },
      open() {
        serve();
        if (isLibdatachannel(offered)) watch(opened);
        if (settled) return;
        settled = true;
        offer.done();
      },
      closed: () => fail(new ConnectError("the data channel is closed", Code.Unavailable)),
      frame(bytes) {
        presence?.seen(performance.now());
        serve().receive(bytes);
      },
      writable: () => serving?.writable(),
      failed: (error) => fail(ConnectError.from(error, Code.Internal)),
    });
    const opened = peer;
    function serve(): ChannelServer {
      // The first frame can arrive before the channel is reported open.
      for (const timer of timers) clearTimeout(timer);
      serving ??= options.serve(opened, isByThisLibrary(offered));
      return serving;
    }
    // A caller of this library whose offer has candidates is checked at once. This side is then connected first, so
    // the caller opens DTLS. (libdatachannel as a DTLS server may drop the first ClientHello if it is not connected
    // yet, which costs a second.) A check that is faster than the caller's bookkeeping fails its handshake, and this
    // library then tries again; any other caller is connected first.
    const first = isByThisLibrary(offered) && candidatesOf(offered).length > 0;
    delayMs = first ? 0 : CANDIDATE_DELAY_MS;
    const sdp = withoutCandidates(offered);
    peer.answer(first ? sdp.replace("a=setup:actpass", "a=setup:active") : sdp);
    const early = remote ?? [];
    remote = undefined;
    for (const line of candidatesOf(offered)) addCandidate(toCandidate(line, mid));
    for (const candidate of early) addCandidate(candidate);
  }

  loadEngine().then(start).catch((error) => fail(ConnectError.from(error, Code.Internal)));

  return {
    call: {
      candidate: addCandidate,
      done() {},
      failed(reason) {
        if (!settled) fail(reason);
      },
    },
    close,
  };
}

function toCandidate(line: string, mid: string): ICECandidate {
  return create(ICECandidateSchema, { candidate: line, sdpMid: mid, sdpmLineIndex: 0 });
}
