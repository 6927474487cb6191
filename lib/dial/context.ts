import { type BulkMemory, newBulkMemory } from "../core/channel/bulk_separation.ts";
import { type DialPlan, planDial } from "../core/dial/plan.ts";
import type { Address } from "../core/net/address.ts";
import type { ResolvedDial, ResolvedDialOptions } from "../options/resolve.ts";
import { type Background, createBackground } from "../runtime/background.ts";
import { KeptServers } from "./kept_servers.ts";
import { findProxies, type ProxyFor } from "./proxies.ts";
import type { TimelineRecorder } from "./timeline.ts";

/** The data that every step of a dial uses. */
export interface DialContext {
  /** The address as given, for messages. */
  readonly address: string;
  readonly parsed: Address;
  readonly plan: DialPlan;
  readonly options: ResolvedDialOptions;
  readonly proxyFor: ProxyFor;
  /** The entity to authenticate as. */
  readonly entity: string;
  readonly timeline: TimelineRecorder;
  /** Aborted when the channel is closed. */
  readonly closed: AbortSignal;
  /** Tries that were given up and are not over; `close()` of the channel waits for them. */
  readonly background: Background;
  /** The tokens that servers have issued to this channel, with which a reconnect begins. */
  readonly tokens: Map<string, string>;
  /** The signaling servers that stay connected for a reconnect. */
  readonly servers: KeptServers;
  /** Knowledge of the machine's bulk data, with which a reconnect begins. */
  readonly bulk: BulkMemory;
  /**
   * True when this dial replaces a lost WebRTC connection, with which pooled connections may be lost as well. Such a
   * channel stays WebRTC: a direct connection is trusted in another way.
   */
  readonly reconnecting: boolean;
  /** True when a live connection of the channel carries its calls meanwhile: there is one try, and no haste. */
  readonly beside?: boolean;
}

/**
 * Plans a dial, and makes what all dials of its channel share.
 *
 * @param closed Aborted when the channel is closed.
 */
export function planned(
  { given, address, options }: ResolvedDial,
  closed: AbortSignal,
): Omit<DialContext, "timeline" | "reconnecting"> {
  return {
    address: given,
    parsed: address,
    plan: planDial(address, options),
    options,
    proxyFor: findProxies(options),
    entity: options.authEntity ?? address.authority,
    closed,
    background: createBackground(),
    tokens: new Map(),
    servers: new KeptServers(),
    bulk: newBulkMemory(),
  };
}
