import type { TimelineEntry } from "./core/timeline.ts";

/** How a channel is reached. */
export type ChannelKind = "webrtc" | "direct";

/** What happens during a dial, and to its channel afterwards. */
export type DialEvent =
  /** A step of the dial has ended, or there is something to remark. */
  | { readonly type: "progress"; readonly entry: TimelineEntry }
  /** A dial has begun. */
  | { readonly type: "connecting"; readonly address: string }
  /** The channel can be used. */
  | { readonly type: "connected"; readonly kind: ChannelKind }
  /** The connection is lost. */
  | { readonly type: "disconnected"; readonly error: Error }
  /** An attempt to get it back begins, after a delay. */
  | { readonly type: "reconnecting"; readonly attempt: number; readonly delayMs: number }
  /** An attempt has failed. */
  | { readonly type: "reconnectfailed"; readonly attempt: number; readonly error: Error }
  /** The channel is closed for good: by `close()`, or with the error that no attempt could mend. */
  | { readonly type: "closed"; readonly error: Error | undefined };
