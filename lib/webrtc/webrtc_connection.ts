import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";
import { type Candidate, parseCandidate } from "../core/ice/candidate.ts";
import { candidatesOf } from "../core/ice/session_description.ts";
import type { Call, CallListener, CallRequest, Carrier, CarrierLimits } from "../rpc/carrier.ts";
import { type ChannelCarrier, createChannelCarrier } from "./channel_carrier.ts";
import { watchLiveness } from "./liveness.ts";
import type { Engine, EngineIceServer, Peer } from "./peer.ts";
import { createRemoteCandidates } from "./remote_candidates.ts";
import { startExchange } from "./signaling_client.ts";
import { settlesWithin } from "../runtime/wait.ts";

/** A connection whose data channel is open. */
export interface WebrtcConnection {
  readonly carrier: Carrier;
  readonly peer: Peer;
  /** Resolves with what ended the connection, unless `carrier.close()` did. */
  readonly lost: Promise<ConnectError>;
  /** Resolves when the signaling server knows how it went, and may be let go. Never rejects. */
  readonly signaled: Promise<void>;
  /** Ends the connection as lost: what it leads through is known to be gone. */
  lose(reason: string): void;
}

/** What a connection is made with. */
export interface WebrtcConnectionOptions extends CarrierLimits {
  readonly engine: Engine;
  /** To the signaling server, with its token. */
  readonly signaling: Transport;
  /** The signaling server's host as dialed. */
  readonly signalingHost: string;
  /** The machine's name there. */
  readonly host: string;
  readonly iceServers: readonly EngineIceServer[];
  readonly relayOnly: boolean;
  /**
   * Whether the offer waits for the first candidates and takes them along, which an answerer on our own engine makes
   * good use of. pion's answers come faster without.
   */
  readonly candidatesFirst: boolean;
  /** Gives the attempt up, with its reason. */
  readonly signal: AbortSignal;
  /** Told when the offer is made, and when the answer has come. */
  readonly onProgress: (progress: "offered" | "answered") => void;
  /** Finds the address that a `.local` name of a candidate stands for; undefined where there is none to be had. */
  readonly findAddress?: (name: string, signal: AbortSignal) => Promise<string | undefined>;
  /** Called with every candidate of either side, once or more often. */
  readonly onCandidate?: (side: "local" | "remote", candidate: Candidate) => void;
}

/** How long an offer waits for candidates, in milliseconds; those of the host take one or two. */
const GATHERING_MS = 50;

/** How long a dial that is given up waits for its last word to be sent, in milliseconds. */
const LAST_WORD_MS = 100;

/** A method that no machine has: it answers `Unimplemented`, and shows that it is there. */
const UNKNOWN_METHOD = "/viam_dial.v1.Liveness/Ask";

/**
 * Connects to a machine through a signaling server (protocol §3).
 *
 * @throws ConnectError with what failed, or the signal's reason. Nothing is left behind.
 */
export async function connectWebrtc(options: WebrtcConnectionOptions): Promise<WebrtcConnection> {
  const { signal } = options;
  signal.throwIfAborted();
  const lost = Promise.withResolvers<ConnectError>();
  let carrier: ChannelCarrier | undefined;

  let offer: string | undefined;
  let offered = false;
  let gathering: ReturnType<typeof setTimeout> | undefined;
  /** Candidates that the offer has along. */
  const known = new Set<string>();
  const found: { candidate: string; mid: string }[] = [];
  /** Addresses of this computer. */
  const addresses = new Set<string>();

  function sendOffer(): void {
    if (offered || offer === undefined) return;
    clearTimeout(gathering);
    offered = true;
    options.onProgress("offered");
    // Not what the callbacks have told so far: they come in no certain order on Bun.
    const sdp = options.candidatesFirst ? peer.localDescription() ?? offer : offer;
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
        if (offered) trickle({ candidate, mid });
        else found.push({ candidate, mid });
      },
      gatheringComplete() {
        sendOffer();
        exchange.handle({ kind: "gatheringComplete" });
      },
      state(state) {
        if (state === "failed" || state === "disconnected" || state === "closed") {
          lose(`the peer connection is ${state}`);
        }
      },
      iceState: (state) => remote.iceState(state),
      open() {
        carrier ??= createChannelCarrier(peer, options, () => lose("the data channel takes no more frames"));
        exchange.handle({ kind: "channelOpen" });
      },
      closed: () => lose("the data channel is closed"),
      frame(bytes) {
        liveness.heard();
        carrier?.receive(bytes);
      },
      writable: () => carrier?.writable(),
      // A machine's renegotiation offers concern media, of which this client has none (protocol §3.8).
      negotiation() {},
      failed: (error) => lose("a callback failed", error),
    },
  );

  const remote = createRemoteCandidates({
    peer,
    signalingHost: options.signalingHost,
    relayOnly: options.relayOnly,
    gathered: addresses,
    findAddress: options.findAddress,
    onCandidate: (line) => note("remote", line),
  });

  const exchange = startExchange(
    options.signaling,
    options.host,
    remote,
    () => options.onProgress("answered"),
  );

  let question: Call | undefined;
  const liveness = watchLiveness(
    // The question is a call itself: it does not count.
    () => ({
      calls: (carrier?.size ?? 0) - (question === undefined ? 0 : 1),
      sent: peer.bytesSent(),
      waiting: peer.bufferedAmount(),
    }),
    () => {
      question?.reset();
      question = carrier?.open(
        { path: UNKNOWN_METHOD, kind: "unary", metadata: new Metadata(), timeoutMs: undefined },
        {
          headers() {},
          message() {},
          end() {
            question = undefined;
          },
        },
      );
      question?.send(new Uint8Array(0), true);
    },
    () => lose("the machine gives no sign of life"),
  );

  function lose(reason: string, cause?: unknown): void {
    clearTimeout(gathering);
    liveness.stop();
    const error = new ConnectError(
      `connection lost: ${reason}`,
      Code.Unavailable,
      undefined,
      undefined,
      cause,
    );
    exchange.handle({ kind: "giveUp", error });
    carrier?.fail(error);
    lost.resolve(error);
    void peer.close();
  }

  const abort = () => exchange.handle({ kind: "giveUp", error: givenUp(signal.reason) });
  signal.addEventListener("abort", abort, { once: true });
  try {
    peer.offer();
    await exchange.connected;
  } catch (error) {
    clearTimeout(gathering);
    liveness.stop();
    // A dial whose time is over does not wait for the last word to arrive; it has been sent.
    const told = signal.aborted ? settlesWithin(LAST_WORD_MS, exchange.settled) : exchange.settled;
    await Promise.all([peer.close(), told]);
    throw signal.aborted ? signal.reason : error;
  } finally {
    remote.stop();
    signal.removeEventListener("abort", abort);
  }

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
        await open.close();
      },
    },
    peer,
    lost: lost.promise,
    signaled: exchange.settled,
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
