import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { type Candidate, parseCandidate } from "../core/ice/candidate.ts";
import { finishMs, lingerMs } from "../core/ice/abandonment.ts";
import type { PathEstimate } from "../core/channel/delivery_window.ts";
import { candidatesOf, isLibdatachannel, withTool } from "../core/ice/session_description.ts";
import type { CallListener, CallRequest, Carrier, CarrierLimits } from "../rpc/carrier.ts";
import type { Life } from "../rpc/life.ts";
import { type ChannelCarrier, createChannelCarrier } from "./channel_carrier.ts";
import { watchLiveness } from "./liveness.ts";
import type { Engine, EngineIceServer, Peer } from "./peer.ts";
import { createRemoteCandidates, type RemoteCandidatesOptions } from "./remote_candidates.ts";
import { startExchange } from "./signaling_client.ts";
import { settlesWithin } from "../runtime/wait.ts";

/** A connection whose data channel is open. */
export interface WebrtcConnection {
  readonly carrier: Carrier;
  readonly peer: Peer;
  /** The path as the machine's answers show it. */
  readonly estimate: () => PathEstimate;
  /** True if the machine limits what it queues, as its questions show. */
  readonly isSteered: () => boolean;
  /** Resolves with what ended the connection, unless `carrier.close()` did, and whether the machine closed it. */
  readonly lost: Promise<{ readonly error: ConnectError; readonly byMachine: boolean }>;
  readonly life: Life;
  /** Ends the connection as lost: what it leads through is known to be gone. */
  lose(reason: string): void;
}

/** An attempt at a connection. */
export interface WebrtcAttempt {
  /** Resolves when the data channel is open; rejects with an `ExchangeError`, or the signal's reason. */
  readonly connection: Promise<WebrtcConnection>;
  /**
   * Resolves when the attempt needs the signaling server no more and, unless it is connected, has left nothing
   * behind: when it is given up, up to `finishMs()` after `connection` has rejected. Never rejects.
   */
  readonly released: Promise<void>;
}

/** Options of a connection. */
export interface WebrtcConnectionOptions
  extends
    CarrierLimits,
    Pick<RemoteCandidatesOptions, "signalingHost" | "relayOnly" | "nominateThroughRelay" | "findAddress"> {
  readonly engine: Engine;
  /** To the signaling server, with its token. */
  readonly signaling: Transport;
  /** The machine's name there. */
  readonly host: string;
  readonly iceServers: readonly EngineIceServer[];
  /**
   * Lets the offer wait for the first candidates and carry them: an answerer on our own engine checks them at once.
   * pion's answers come faster without.
   */
  readonly candidatesFirst: boolean;
  /** A round trip to the signaling server, in milliseconds. */
  readonly roundTripMs: number;
  /** True if the machine's engine is known to be libdatachannel. */
  readonly isLibdatachannel: boolean;
  /** Gives the attempt up, with its reason. */
  readonly signal: AbortSignal;
  readonly onOffered: () => void;
  /** Called when the answer has come, with the kind of engine that wrote it. */
  readonly onAnswered: (isLibdatachannel: boolean) => void;
  /** Called with every candidate of either side, once or more often. */
  readonly onCandidate?: (side: "local" | "remote", candidate: Candidate) => void;
}

/** Time that an offer waits for candidates, in milliseconds; those of the host take one or two. */
const GATHERING_MS = 50;

/** Time that an abandoned dial waits for its last message to be sent, in milliseconds. */
const LAST_WORD_MS = 100;

/** Connects to a machine through a signaling server (protocol §3). */
export function connectWebrtc(options: WebrtcConnectionOptions): WebrtcAttempt {
  const released = Promise.withResolvers<void>();
  return { connection: connect(options, released.resolve), released: released.promise };
}

async function connect(options: WebrtcConnectionOptions, release: () => void): Promise<WebrtcConnection> {
  const { signal } = options;
  if (signal.aborted) {
    release();
    throw signal.reason;
  }
  const lost = Promise.withResolvers<{ readonly error: ConnectError; readonly byMachine: boolean }>();
  let carrier: ChannelCarrier | undefined;

  let offer: string | undefined;
  let offeredAt: number | undefined;
  let gathering: ReturnType<typeof setTimeout> | undefined;
  /** Candidates in the offer. */
  const known = new Set<string>();
  const found: { candidate: string; mid: string }[] = [];
  /** Addresses of this computer. */
  const addresses = new Set<string>();

  function sendOffer(): void {
    if (offeredAt !== undefined || offer === undefined) return;
    clearTimeout(gathering);
    offeredAt = performance.now();
    options.onOffered();
    // Not what the callbacks have told so far: they come in no certain order on Bun.
    const sdp = withTool((options.candidatesFirst ? peer.localDescription() : undefined) ?? offer);
    for (const candidate of candidatesOf(sdp)) known.add(candidate);
    exchange.handle({ kind: "offer", sdp });
    for (const candidate of found) trickle(candidate);
  }

  function trickle(found: { candidate: string; mid: string }): void {
    if (!known.has(found.candidate)) exchange.handle({ kind: "localCandidate", ...found });
  }

  function note(side: "local" | "remote", line: string): void {
    const candidate = parseCandidate(line);
    if (candidate !== undefined) options.onCandidate?.(side, candidate);
  }

  const peer = options.engine.createPeer(
    { iceServers: options.iceServers, relayOnly: options.relayOnly },
    {
      localDescription(sdp, type) {
        if (type !== "offer") return;
        offer = sdp;
        if (options.candidatesFirst) gathering = setTimeout(sendOffer, GATHERING_MS);
        else sendOffer();
      },
      localCandidate(candidate, mid) {
        note("local", candidate);
        const { type, address } = parseCandidate(candidate) ?? {};
        if (type === "host" && address !== undefined) addresses.add(address);
        if (offeredAt !== undefined) trickle({ candidate, mid });
        else found.push({ candidate, mid });
      },
      gatheringComplete() {
        sendOffer();
        exchange.handle({ kind: "gatheringComplete" });
      },
      state(state) {
        if (state === "failed" || state === "disconnected" || state === "closed") {
          lose(`the peer connection is ${state}`, undefined, state === "closed");
        }
      },
      open() {
        carrier ??= createChannelCarrier(peer, options, () => lose("the data channel takes no more frames"));
        exchange.handle({ kind: "channelOpen" });
      },
      closed: () => lose("the data channel is closed", undefined, true),
      frame(bytes) {
        if (!isHeard) {
          isHeard = true;
          machineOpened.resolve();
        }
        liveness.heard();
        carrier?.receive(bytes);
      },
      writable: () => carrier?.writable(),
      failed: (error) => lose("a callback failed", error),
    },
  );

  const remote = createRemoteCandidates({
    ...options,
    peer,
    gathered: addresses,
    onCandidate: (line) => note("remote", line),
    onChecking: () => exchange.handle({ kind: "releaseCandidates" }),
  });

  /** Resolves with the machine's first frame: the channel may open here a moment before it does there. */
  const machineOpened = Promise.withResolvers<void>();
  let isHeard = false;
  let isAnswered = false;
  let answererIsOurs = options.isLibdatachannel;

  const exchange = startExchange(options.signaling, options.host, remote, (answer) => {
    isAnswered = true;
    answererIsOurs = isLibdatachannel(answer);
    options.onAnswered(answererIsOurs);
    if (signal.aborted) linger();
  });
  exchange.handle({ kind: "holdCandidates" });

  const liveness = watchLiveness({
    look: () => ({
      calls: carrier?.size ?? 0,
      sent: peer.bytesSent(),
      waiting: peer.bufferedAmount(),
      received: peer.bytesReceived(),
      roundTripMs: peer.roundTripMs(),
    }),
    ask: (answered) => carrier?.ask(answered),
    ping: () => peer.ping(),
    lost: () => lose("the machine gives no sign of life"),
    roundTripMs: options.roundTripMs,
  });

  /**
   * Waits until the machine's answerer is free: until the channel is open there, too, and the server knows that the
   * caller is done.
   */
  async function freeAnswerer(patienceMs: number): Promise<void> {
    if (answererIsOurs) return;
    if (!isHeard) carrier?.ask(() => {});
    await settlesWithin(patienceMs, Promise.all([machineOpened.promise, exchange.settled]));
  }

  function lose(reason: string, cause?: unknown, byMachine = false): void {
    clearTimeout(gathering);
    liveness.stop();
    const text = `connection lost: ${reason}`;
    const error = new ConnectError(text, Code.Unavailable, undefined, undefined, cause);
    exchange.handle({ kind: "giveUp", error });
    carrier?.fail(error);
    machineOpened.resolve();
    lost.resolve({ error, byMachine });
    void peer.close();
  }

  let abandonedAt = 0;
  let lingering: ReturnType<typeof setTimeout> | undefined;

  /** Goes on for as long as an abandoned attempt should from now on. Returns how long, in milliseconds. */
  function linger(): number {
    const now = performance.now();
    const state = { roundTripMs: options.roundTripMs, isAnswered, isLibdatachannel: answererIsOurs };
    const offeredMs = offeredAt === undefined ? undefined : now - offeredAt;
    const leftMs = Math.min(
      lingerMs({ ...state, offeredMs }),
      abandonedAt + finishMs(options.roundTripMs) - now,
    );
    const giveUp = () => exchange.handle({ kind: "giveUp", error: givenUp(signal.reason) });
    clearTimeout(lingering);
    if (leftMs <= 0) giveUp();
    else lingering = setTimeout(giveUp, leftMs);
    return leftMs;
  }

  /** Ends an abandoned attempt when the channel has opened and the machine's answerer is told, or time is up. */
  async function finish(): Promise<void> {
    const isOpen = await exchange.connected.then(() => true, () => false);
    clearTimeout(lingering);
    remote.stop();
    if (isOpen) await freeAnswerer(abandonedAt + finishMs(options.roundTripMs) - performance.now());
    else await settlesWithin(LAST_WORD_MS, exchange.settled);
    liveness.stop();
    await peer.close();
    release();
  }

  const abandoned = Promise.withResolvers<never>();
  abandoned.promise.catch(() => {});
  function abort(): void {
    abandonedAt = performance.now();
    if (linger() > 0) abandoned.reject(signal.reason);
  }

  signal.addEventListener("abort", abort, { once: true });
  try {
    peer.offer();
    await Promise.race([exchange.connected, abandoned.promise]);
  } catch (error) {
    if (lingering !== undefined) {
      void finish();
      throw signal.reason;
    }
    // It has failed, and an abort meanwhile has nothing to let go on.
    signal.removeEventListener("abort", abort);
    // The exchange does not know yet if the engine could not make the offer.
    exchange.handle({ kind: "giveUp", error: ConnectError.from(error) });
    clearTimeout(gathering);
    remote.stop();
    liveness.stop();
    // A dial whose time is over does not wait for the last word to arrive; it has been sent.
    const told = signal.aborted ? settlesWithin(LAST_WORD_MS, exchange.settled) : exchange.settled;
    await Promise.all([peer.close(), told]);
    release();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
  clearTimeout(lingering);
  remote.stop();
  void exchange.settled.then(release);

  const open = carrier!;
  return {
    carrier: {
      open(request: CallRequest, listener: CallListener) {
        const call = open.open(request, listener);
        liveness.calling();
        return call;
      },
      async close() {
        liveness.stop();
        const free = freeAnswerer(finishMs(options.roundTripMs));
        open.fail(new ConnectError("the channel is closed", Code.Unavailable));
        await free;
        await open.close();
      },
    },
    peer,
    life: liveness.life,
    estimate: () => open.estimate(),
    isSteered: () => open.isQuestioned,
    lost: lost.promise,
    lose,
  };
}

function givenUp(reason: unknown): ConnectError {
  const timeout = reason instanceof Error && reason.name.includes("Timeout");
  return new ConnectError(
    timeout ? "the caller's time ran out" : "the caller gave up",
    timeout ? Code.DeadlineExceeded : Code.Canceled,
  );
}
