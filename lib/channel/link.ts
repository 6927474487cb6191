import type { ChannelKind } from "../events.ts";
import type { Authorization } from "../rpc/authorization.ts";
import type { Carrier } from "../rpc/carrier.ts";
import type { WireStats } from "./stats.ts";

/** An established way to a machine. */
export interface Link {
  readonly kind: ChannelKind;
  readonly carrier: Carrier;
  /** Who its calls are made as; undefined when they need no token. */
  readonly authorization: Authorization | undefined;
  /** What interceptors see in front of a method's path. */
  readonly baseUrl: string;
  /** Resolves with what ended it. A direct link never ends by itself: a lost session is replaced by the next call. */
  readonly lost: Promise<Error>;
  /** Describes the way now. */
  readonly path: () => ChannelPath;
  /** What the engine knows of the connection; undefined when there is none. */
  readonly wire?: () => WireStats;
  /** Frees what it holds; idempotent. */
  close(): Promise<void>;
}

/** The way that a channel's calls take. */
export interface ChannelPath {
  /**
   * "direct", or how the two ends of a WebRTC connection found each other: the farther of the two ways, "host"
   * being the nearest and "relay" the farthest.
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

/** Whether a channel can be used. */
export type ChannelState = "connected" | "reconnecting" | "closed";
