import type { Proxy } from "../net/proxy.ts";
import type { DialPhase, TimelineEntry } from "./timeline.ts";

/*
 * The round trips that the protocols of a step take at least. Lost packets, a HelloRetryRequest of TLS, the allocation
 * of a relay and a proxy's own way to the server come on top.
 */

/** A request and its answer. */
export const ANSWER_ROUND_TRIPS = 1;

/** The greeting that shows whether a server speaks TLS, on a connection of its own. */
export const PROBE_ROUND_TRIPS = 2;

/**
 * From the answer to the open channel: an ICE check; the nomination, with which the machine begins DTLS (RFC 8445,
 * section 8.1.1); DTLS (RFC 6347, section 4.2.4); two of SCTP (RFC 9260, section 5.1).
 */
export const CHANNEL_ROUND_TRIPS = 5;

/** TLS 1.3 (RFC 8446, section 2), and TCP (RFC 9293, section 3.5). */
const TLS = 1, TCP = 1;

/** A server, as it is connected to. */
export interface Connecting {
  readonly secure: boolean;
  readonly unixPath?: string | undefined;
  readonly proxy?: Proxy | undefined;
}

/** Returns the round trips until a server has answered the first request. */
export function connectRoundTrips({ secure, unixPath, proxy }: Connecting): number {
  const way = proxy === undefined ? 0 : proxyRoundTrips(proxy);
  return (unixPath === undefined ? TCP : 0) + way + (secure ? TLS : 0) + ANSWER_ROUND_TRIPS;
}

/** A CONNECT (RFC 9110, section 9.3.6), or the choice of a method, the password and the request of SOCKS5 (RFC 1928). */
function proxyRoundTrips({ scheme, username }: Proxy): number {
  if (scheme === "http") return 1;
  if (scheme === "https") return TLS + 1;
  return username === undefined ? 2 : 3;
}

/** Lists the steps of a dial with their round trips, in a few words; empty if none is known. */
export function describeRoundTrips(entries: readonly TimelineEntry[]): string {
  const byPhase = new Map<DialPhase, number>();
  for (const { phase, roundTrips } of entries) {
    if (roundTrips !== undefined) byPhase.set(phase, (byPhase.get(phase) ?? 0) + roundTrips);
  }
  if (byPhase.size === 0) return "";
  const sum = Array.from(byPhase.values()).reduce((one, other) => one + other, 0);
  const parts = Array.from(byPhase, ([phase, count]) => `${phase} ${count}`).join(", ");
  return `${sum} round trips: ${parts}`;
}
