import type { TimelineEntry } from "./core/dial/timeline.ts";

/** The kind of a connection. */
export type ChannelKind = "webrtc" | "direct";

/** The events of a channel, by name. Each is the detail of a `CustomEvent`, and an item of `events()`. */
export interface ChannelEventMap {
  /** A dial has begun. */
  readonly connecting: { readonly type: "connecting"; readonly address: string };
  /** The channel is usable, for the first time or again. */
  readonly connected: { readonly type: "connected"; readonly kind: ChannelKind };
  /** The connection is lost. */
  readonly disconnected: { readonly type: "disconnected"; readonly error: Error };
  /** An attempt to reconnect begins, after a delay. */
  readonly reconnecting: {
    readonly type: "reconnecting";
    /** The attempt of this outage, from 1. */
    readonly attempt: number;
    /** The delay before it, in milliseconds. */
    readonly delayMs: number;
  };
  /** An attempt has failed. */
  readonly reconnectfailed: {
    readonly type: "reconnectfailed";
    /** The attempt of this outage, from 1. */
    readonly attempt: number;
    /** The error of the attempt. */
    readonly error: Error;
  };
  /** The channel is closed for good: by `close()`, or with the error of the last attempt to reconnect. */
  readonly closed: { readonly type: "closed"; readonly error: Error | undefined };
}

/** An event of a channel. */
export type ChannelEvent = ChannelEventMap[keyof ChannelEventMap];

/** An event of a dial, or of its channel afterwards. */
export type DialEvent =
  /** A step of the dial has ended, or there is a remark. */
  | { readonly type: "progress"; readonly entry: TimelineEntry }
  | ChannelEvent;
