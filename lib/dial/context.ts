import type { DialPlan } from "../core/dial/plan.ts";
import type { Address } from "../core/net/address.ts";
import type { ResolvedDialOptions } from "../options/resolve.ts";
import type { TimelineRecorder } from "./timeline.ts";

/** What every step of a dial has at hand. */
export interface DialContext {
  /** The address as given, for messages. */
  readonly address: string;
  readonly parsed: Address;
  readonly plan: DialPlan;
  readonly options: ResolvedDialOptions;
  /** Whom to authenticate as. */
  readonly entity: string;
  readonly timeline: TimelineRecorder;
  /** Aborted when the channel is closed. */
  readonly closed: AbortSignal;
  /** Tokens that servers have given to this channel: a reconnect begins with the one from before. */
  readonly tokens: Map<string, string>;
  /**
   * Whether this replaces a WebRTC connection that was lost, and pooled ones with it, perhaps. Such a channel stays
   * WebRTC: a direct connection is trusted in another way.
   */
  readonly reconnecting: boolean;
}
