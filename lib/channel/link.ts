import type { ChannelKind } from "../events.ts";
import type { Authorization } from "../rpc/authorization.ts";
import type { Carrier } from "../rpc/carrier.ts";
import type { Life } from "../rpc/life.ts";
import type { WireStats } from "./stats.ts";

/** The end of a connection that was not closed from here. */
export interface Loss {
  readonly error: Error;
  /** True if the machine closed it, as it does with those of all its clients when it ends. */
  readonly byMachine: boolean;
}

/** An established connection to a machine. */
export interface Link {
  readonly kind: ChannelKind;
  readonly carrier: Carrier;
  /** The source of the token for its calls; undefined when they need none. */
  readonly authorization: Authorization | undefined;
  /** The URL that interceptors see in front of a method's path. */
  readonly baseUrl: string;
  /**
   * Resolves with what ended it. A direct link never ends by itself: the next call replaces a lost session.
   */
  readonly lost: Promise<Loss>;
  /** Sets the listener that is told when a direct link loses a session. */
  readonly onSessionLost?: (listener: () => void) => void;
  /** Tells whether the connection is alive, where it may die in silence. */
  readonly life?: Life;
  /** Describes the current path. */
  readonly path: () => ChannelPath;
  /** Reads the engine's statistics of the connection; undefined when there is no engine. */
  readonly wire?: () => WireStats;
  /** The same of a second connection, which bulk data has to itself; undefined while there is none. */
  readonly bulkWire?: () => WireStats | undefined;
  /** Releases what it holds. Idempotent. */
  close(): Promise<void>;
}

/** The path of a channel's calls. */
export interface ChannelPath {
  /**
   * "direct", or the kind of candidates that connect the two ends over WebRTC: the farther of the two, from "host", the
   * nearest, to "relay", the farthest.
   */
  readonly kind: "direct" | "host" | "server-reflexive" | "peer-reflexive" | "relay";
  /** "grpc" or "grpc-web" with the HTTP version, or "webrtc". */
  readonly protocol: string;
  /** `host:port`, where known. */
  readonly local: string | undefined;
  /** `host:port`, where known. */
  readonly remote: string | undefined;
  /** Round-trip time in milliseconds, where the engine knows it. */
  readonly roundTripMs: number | undefined;
}

/** The state of a channel. */
export type ChannelState = "connected" | "reconnecting" | "closed";
