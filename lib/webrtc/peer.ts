import type { DataChannel, PeerConnection } from "node-datachannel";
import { type Candidate, type CandidatePair, isCandidateType } from "../core/ice/candidate.ts";
import { EngineThreadError } from "../core/ice/engine_thread_error.ts";
import { hasOnlyLoopback } from "../runtime/interfaces.ts";
import { isWorker } from "../runtime/thread.ts";
import { settlesWithin } from "../runtime/wait.ts";

/*
 * The one importer of node-datachannel. It copes with these properties of the engine (ARCHITECTURE.md): an exception
 * that escapes a callback aborts the process; without a closed callback on every channel and a state callback on every
 * connection the process never exits; channels must close before their connection. These take the process down: the
 * collection of a channel before its end is reported, and a callback for ICE states.
 */

/**
 * Size of the engine's own send buffer below the channel's, in bytes: as much as a long and fast path holds. How much
 * of it is used is up to the window (`delivery_window.ts`), which is always smaller.
 */
const ENGINE_SEND_BYTES = 4_194_304;

/**
 * Most time that the engine waits before it acknowledges a single packet, in milliseconds. With its default of 20, an
 * engine whose timer goes on (see below) takes that packet for lost on a long and steady path.
 */
const SACK_DELAY_MS = 1;

/**
 * Most transmissions of a packet, which none reaches: the engine gives up the connection long before. A channel with any
 * limit has the engine restart its retransmission timer with each acknowledgement, as RFC 9260 (section 6.3.2) demands.
 * Otherwise the timer goes on, and on a long and steady path takes packets for lost that are late by some milliseconds
 * (ARCHITECTURE.md).
 */
const MAX_RETRANSMITS = 65_535;

/** Time that a close waits for the engine's confirmation, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Time that it then waits for the closing of ping channels, in milliseconds: the engine closes them beside the others. */
const PINGS_CLOSE_MS = 100;

/** Most open ping channels. The other side may be too busy to close them, for up to a minute. */
const MAX_OPEN_PINGS = 64;

/** A STUN or TURN server in the form of the engine. */
export interface EngineIceServer {
  readonly hostname: string;
  readonly port: number;
  /** Present for TURN: without it the engine treats the server as STUN and ignores the credentials. */
  readonly relayType?: "TurnUdp";
  readonly username?: string;
  readonly password?: string;
}

/** Settings of a peer connection. */
export interface PeerOptions {
  readonly iceServers: readonly EngineIceServer[];
  /** Only relay candidates, of TURN servers on loopback. */
  readonly relayOnly?: boolean;
}

/** Receives the reports of a peer connection. An exception of a method closes the peer, and is reported to `failed`. */
export interface PeerListener {
  localDescription(sdp: string, type: string): void;
  /** `candidate:…`, and the media line it belongs to. */
  localCandidate(candidate: string, mid: string): void;
  gatheringComplete(): void;
  /** "connecting", "connected", "disconnected", "failed" or "closed". */
  state(state: string): void;
  /** Channel 0 is open. */
  open(): void;
  /** Channel 0 is closed. */
  closed(): void;
  /** A frame on channel 0. */
  frame(bytes: Uint8Array): void;
  /** The send buffer of channel 0 has fallen to its low mark. */
  writable(): void;
  failed(error: unknown): void;
}

/** A peer connection with the two negotiated channels of protocol §3.3. */
export interface Peer {
  /** Makes the offer; it comes by `localDescription`. */
  offer(): void;
  /** The local description with the candidates found so far. */
  localDescription(): string | undefined;
  /** Takes an offer and makes the answer; it comes by `localDescription`. */
  answer(offer: string): void;
  /** Takes the answer to the offer. */
  accept(answer: string): void;
  /** False when the candidate cannot be used: the connection is closed, or the engine refuses it. */
  addCandidate(candidate: string, mid: string): boolean;
  /** Sends a frame on channel 0; false when the channel does not take it. */
  send(frame: Uint8Array): boolean;
  /** Sends text on channel 1. */
  negotiate(text: string): void;
  /** Bytes waiting in channel 0's send buffer. */
  bufferedAmount(): number;
  /** The largest frame the other side takes, in bytes. */
  maxFrameBytes(): number;
  /**
   * "new", "checking", "connected" (a pair works), "completed" (a pair is nominated), "disconnected", "failed" or
   * "closed". It is not reported: the engine would report the last state from a thread of its own, which `close` does
   * not wait for before it frees the callback.
   */
  iceState(): string;
  /** The path in use. */
  selectedPair(): CandidatePair | undefined;
  /** Round-trip time of the path in milliseconds, where the engine knows it. */
  roundTripMs(): number | undefined;
  /**
   * Asks the other side's engine for a sign of life. Resolves when there is one, and never if nobody is there, or if
   * the engine opens and closes the ping before this thread listens. The other side's program is not involved.
   */
  ping(): Promise<void>;
  bytesSent(): number;
  bytesReceived(): number;
  /** Closes channels, then the connection; resolves when the engine is done with them, or after two seconds. */
  close(): Promise<void>;
}

/** Makes peer connections. */
export interface Engine {
  createPeer(options: PeerOptions, listener: PeerListener): Peer;
}

let loading: Promise<Engine> | undefined;
let live = 0;
/**
 * True if a channel was closed before it was taken, or its closing was not reported: it keeps the process alive until
 * the engine cleans up, once nothing is in use.
 */
let stuck = false;
/** Channels that were closed before they were taken. Cleaning up uses them, collected or not, so they are held. */
const untaken = new Set<DataChannel>();

/** Number of peer connections that this process has not finished closing. */
export function livePeers(): number {
  return live;
}

/**
 * Size of the largest packets that the engine sends, in bytes, with the headers of IP. Tunnels leave less than IPv6's
 * least of 1,280, which it would take by itself, and it does not look for what a path takes.
 */
const PATH_BYTES = 1_200;

/**
 * Loads the engine once. A direct dial never does, so that it needs no permission for native code.
 *
 * @throws {EngineThreadError} in a worker; or the error of the import, when the native module is missing or not permitted
 */
export function loadEngine(): Promise<Engine> {
  // Its native module serves one isolate: loaded into another, it takes the process down, at once or at the next call.
  if (isWorker()) return Promise.reject(new EngineThreadError());
  loading ??= import("node-datachannel").then(
    ({ default: library }) => {
      // This applies to the process, and only before the first connection.
      library.setSctpSettings({ sendBufferSize: ENGINE_SEND_BYTES, delayedSackTime: SACK_DELAY_MS });
      return {
        createPeer: (options, listener) =>
          createPeer(
            new library.PeerConnection("viam-dial", {
              iceServers: options.iceServers.map((server) => ({ ...server })),
              // By itself the engine leaves loopback out: without another interface it would find no candidate.
              ...(hasOnlyLoopback() ? { bindAddress: "127.0.0.1" } : {}),
              // The policy alone keeps other candidates from being offered, but not from being used. A socket on
              // loopback reaches nothing else.
              ...(options.relayOnly === true
                ? { iceTransportPolicy: "relay" as const, bindAddress: "127.0.0.1" }
                : {}),
              mtu: PATH_BYTES,
            }),
            listener,
            () => library.cleanup(),
          ),
      };
    },
    (error) => {
      loading = undefined;
      throw error;
    },
  );
  return loading;
}

function createPeer(connection: PeerConnection, listener: PeerListener, cleanUp: () => void): Peer {
  live++;
  let closing: Promise<void> | undefined;
  let ended = false;
  let data: DataChannel | undefined, negotiation: DataChannel | undefined;
  const connectionClosed = Promise.withResolvers<void>();
  const dataClosed = Promise.withResolvers<void>();
  const negotiationClosed = Promise.withResolvers<void>();
  /**
   * Ping channels and their closings. They are held until then: one that is collected earlier takes the process down
   * when the engine closes it, and one that is open when its connection closes keeps the process alive for ever.
   */
  const pings = new Map<DataChannel, Promise<void>>();

  function hold(channel: DataChannel, onClosed = () => {}): void {
    const closed = Promise.withResolvers<void>();
    pings.set(channel, closed.promise);
    channel.onClosed(() => {
      // The engine still uses the channel once this has returned.
      queueMicrotask(() => {
        pings.delete(channel);
        closed.resolve();
      });
      onClosed();
    });
    channel.onError(() => {});
  }

  /** Closes ping channels. */
  function closePings(): void {
    for (const channel of pings.keys()) closeQuietly(channel);
  }

  /** Keeps exceptions from escaping into the engine. */
  function guarded<A extends unknown[]>(handle: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      if (ended) return;
      try {
        handle(...args);
      } catch (error) {
        ended = true;
        try {
          listener.failed(error);
        } catch {
          // Nobody is left to report this error to.
        }
        void close();
      }
    };
  }

  connection.onStateChange((state) => {
    if (state === "closed") connectionClosed.resolve();
    guarded(() => listener.state(state))();
  });
  connection.onLocalDescription(guarded((sdp, type) => listener.localDescription(sdp, type)));
  connection.onLocalCandidate(
    guarded((candidate, mid) => listener.localCandidate(candidate.replace(/^a=/, ""), mid)),
  );
  connection.onGatheringStateChange(guarded((state) => {
    if (state === "complete") listener.gatheringComplete();
  }));

  /**
   * Creates both channels. The first one makes the offer, unless there is an answer already: where
   * `setLocalDescription` fails, for want of files, say, it aborts the process.
   */
  function createChannels(): void {
    negotiation = connection.createDataChannel("negotiation", { negotiated: true, id: 1 });
    negotiation.onOpen(() => {});
    negotiation.onClosed(() => negotiationClosed.resolve());
    negotiation.onError(() => {});
    // The other side's offers to renegotiate concern media, of which there is none here (protocol §3.8).
    negotiation.onMessage(() => {});
    data = connection.createDataChannel("data", { negotiated: true, id: 0, maxRetransmits: MAX_RETRANSMITS });
    data.onOpen(guarded(() => listener.open()));
    data.onClosed(() => {
      dataClosed.resolve();
      guarded(() => listener.closed())();
    });
    data.onError(guarded(() => {})); // a closed channel follows, and says the same
    data.onMessage(guarded((message) => listener.frame(toBytes(message))));
    data.onBufferedAmountLow(guarded(() => listener.writable()));
    data.setBufferedAmountLowThreshold(LOW_MARK_BYTES);
  }

  // Pings of the other side, which this side closes: a channel that is closed before it is taken here is never reported
  // closed, and keeps the process alive for ever.
  connection.onDataChannel((channel) => {
    if (channel.isOpen()) {
      hold(channel);
      closeQuietly(channel);
      return;
    }
    // Its connection has closed it.
    stuck = true;
    untaken.add(channel);
  });

  /**
   * The engine reports incoming messages only (`bytesReceived` counts those alone; lost consent shows after 30 s). But
   * it acknowledges a channel that is opened in band (RFC 8832, section 6).
   */
  function ping(): Promise<void> {
    return new Promise((resolve) => {
      if (closing !== undefined) return;
      // Another program's engine also answers, and that program may never close the channels.
      if (pings.size >= MAX_OPEN_PINGS) closePings();
      let channel: DataChannel;
      try {
        channel = connection.createDataChannel("ping");
      } catch {
        return; // the connection ends, or takes no more channels
      }
      // Closing it is also an answer: on Node it may be reported first, and the opening then never.
      hold(channel, () => {
        if (closing === undefined) resolve();
      });
      channel.onOpen(() => resolve());
      // On loopback the answer may arrive before the callback is set.
      if (channel.isOpen()) resolve();
    });
  }

  function close(): Promise<void> {
    closing ??= (async () => {
      // The engine may still report while it closes, but nobody listens any more.
      ended = true;
      // The other one closes with the connection: closing it here sometimes crosses the other side's close (see below).
      if (data !== undefined) closeQuietly(data);
      if (data === undefined) dataClosed.resolve();
      if (negotiation === undefined) negotiationClosed.resolve();
      closePings();
      try {
        connection.close();
      } catch {
        connectionClosed.resolve();
      }
      const closed = [connectionClosed.promise, dataClosed.promise, negotiationClosed.promise];
      const isClosed = await settlesWithin(CLOSE_TIMEOUT_MS, Promise.all(closed));
      // The other side, or the connection, may have closed a channel before this side listened.
      if (!isClosed || !await settlesWithin(PINGS_CLOSE_MS, Promise.all(pings.values()))) stuck = true;
      live--;
      if (live > 0 || !stuck) return;
      try {
        cleanUp();
        stuck = false;
        untaken.clear();
      } catch {
        // The engine was not done in time; the next close tries again.
      }
    })();
    return closing;
  }

  return {
    offer: createChannels,
    localDescription: () => connection.localDescription()?.sdp,
    answer: (offer) => {
      connection.setRemoteDescription(offer, "offer"); // makes the answer
      createChannels();
    },
    accept: (answer) => connection.setRemoteDescription(answer, "answer"),
    addCandidate: (candidate, mid) => {
      if (closing !== undefined) return false;
      try {
        connection.addRemoteCandidate(candidate, mid);
        return true;
      } catch {
        return false;
      }
    },
    send: (frame) => {
      if (closing !== undefined) return false;
      try {
        data?.sendMessageBinary(frame);
        return data !== undefined;
      } catch {
        return false;
      }
    },
    negotiate: (text) => {
      if (closing === undefined && negotiation?.isOpen() === true) negotiation.sendMessage(text);
    },
    bufferedAmount: () => closing === undefined ? data?.bufferedAmount() ?? 0 : 0,
    maxFrameBytes: () => data?.maxMessageSize() ?? 0,
    iceState: () => closing === undefined ? connection.iceState() : "closed",
    selectedPair: () => {
      if (closing !== undefined) return undefined;
      const pair = connection.getSelectedCandidatePair();
      return pair === null ? undefined : { local: toCandidate(pair.local), remote: toCandidate(pair.remote) };
    },
    roundTripMs: () => {
      if (closing !== undefined) return undefined;
      const milliseconds = connection.rtt();
      return milliseconds > 0 ? milliseconds : undefined;
    },
    ping,
    bytesSent: () => closing === undefined ? connection.bytesSent() : 0,
    bytesReceived: () => closing === undefined ? connection.bytesReceived() : 0,
    close,
  };
}

/** Bytes in front of the engine's buffer at which a sender that waits is woken. */
export const LOW_MARK_BYTES = 32_768;

const encoder = new TextEncoder();

function toBytes(message: string | ArrayBuffer | Uint8Array<ArrayBufferLike>): Uint8Array {
  // A text frame on channel 0 is read like a binary one (protocol §4.13).
  if (typeof message === "string") return encoder.encode(message);
  if (message instanceof ArrayBuffer) return new Uint8Array(message);
  // A plain array instead of a Buffer: views of it end up in users' messages, and a Buffer's `slice` shares memory.
  return new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
}

function toCandidate(
  info: { address: string; port: number; type: string; transportType: string },
): Candidate {
  return {
    address: info.address,
    port: info.port,
    type: isCandidateType(info.type) ? info.type : "host",
    protocol: info.transportType.toLowerCase() === "tcp" ? "tcp" : "udp",
  };
}

/**
 * Closes a channel, unless it is closing already. While a thread of the engine handles the other side's close, a second
 * close releases the callback before it is called, and a callback that is never called keeps Node's process alive.
 * Closing the connection closes channels that were never open.
 */
function closeQuietly(channel: DataChannel): void {
  try {
    if (channel.isOpen()) channel.close();
  } catch {
    // Closed already.
  }
}
