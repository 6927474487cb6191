import type { TimelineEntry } from "./core/dial/timeline.ts";

/** How a channel is reached. */
export type ChannelKind = "webrtc" | "direct";

/** What happens to a channel, by name. Each is the detail of a `CustomEvent`, and an item of `events()`. */
export interface ChannelEventMap {
  /** A dial has begun. */
  readonly connecting: { readonly type: "connecting"; readonly address: string };
  /** The channel can be used, at first or again. */
  readonly connected: { readonly type: "connected"; readonly kind: ChannelKind };
  /** The connection is lost. */
  readonly disconnected: { readonly type: "disconnected"; readonly error: Error };
  /** An attempt to get it back begins, after a delay. */
  readonly reconnecting: {
    readonly type: "reconnecting";
    /** The attempt of this outage, from 1. */
    readonly attempt: number;
    /** How long it waits first, in milliseconds. */
    readonly delayMs: number;
  };
  /** An attempt has failed. */
  readonly reconnectfailed: {
    readonly type: "reconnectfailed";
    /** The attempt of this outage, from 1. */
    readonly attempt: number;
    /** What it failed with. */
    readonly error: Error;
  };
  /** The channel is closed for good: by `close()`, or with the error that no attempt could mend. */
  readonly closed: { readonly type: "closed"; readonly error: Error | undefined };
}

/** One thing that happens to a channel. */
export type ChannelEvent = ChannelEventMap[keyof ChannelEventMap];

/** What happens during a dial, and to its channel afterwards. */
export type DialEvent =
  /** A step of the dial has ended, or there is something to remark. */
  | { readonly type: "progress"; readonly entry: TimelineEntry }
  | ChannelEvent;
