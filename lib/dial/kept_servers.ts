import { type Target, urlOf } from "../core/net/target.ts";
import type { DirectCarrier } from "../direct/direct_carrier.ts";

/** A signaling server that has been dialed through, and is not closed. */
export interface KeptServer {
  readonly server: { readonly carrier: DirectCarrier; readonly target: Target };
  /** A round trip to it, in milliseconds. */
  readonly roundTripMs: number;
  /** True if the machine has closed its connection by itself, which shows that the network is there. */
  isNetworkSeen: boolean;
}

/**
 * The signaling servers of a channel. Each stays connected, idle and without pings, so that a reconnect begins with its
 * offer: that saves the round trips of TCP, of TLS and of the question what the server speaks. If the connection is
 * lost meanwhile, the last of them is still saved.
 */
export class KeptServers {
  readonly #kept = new Map<string, KeptServer>();
  #isClosed = false;

  /** Takes the server out, for one attempt. */
  take(target: Target): KeptServer | undefined {
    const key = keyOf(target);
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    return kept;
  }

  /** Keeps a server in place of an earlier one; closes it where it cannot be of use. */
  keep(kept: KeptServer): void {
    const { carrier, target } = kept.server;
    if (this.#isClosed || carrier.connection === undefined) return void carrier.close();
    const key = keyOf(target);
    void this.#kept.get(key)?.server.carrier.close();
    this.#kept.set(key, kept);
  }

  /** Closes all. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#kept.values()];
    this.#kept.clear();
    await Promise.all(all.map(({ server }) => server.carrier.close()));
  }
}

/** No URL has the zone of an address. */
function keyOf(target: Target): string {
  return `${urlOf(target)} ${target.hostname}`;
}
