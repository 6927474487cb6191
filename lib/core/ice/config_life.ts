import type { ICEServer } from "../../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";

/** An ICE server as a signaling server names it. */
export type NamedIceServer = Pick<ICEServer, "urls" | "username" | "credential">;

/** Longest time that a signaling server's ICE servers are remembered, in milliseconds. */
const REMEMBERED_MS = 86_400_000;

/** The life that is left to credentials that are used, in milliseconds. */
const LEAST_LEFT_MS = 60_000;

/**
 * Returns the time until which these ICE servers can be used again, in milliseconds since 1970; `now` if not at all.
 * Credentials are used again only where their user name says when they expire, as those of the TURN REST API do
 * (draft-uberti-behave-turn-rest-00, section 2.2: seconds since 1970, then a colon).
 */
export function usableUntil(servers: readonly NamedIceServer[], now: number): number {
  const ends = servers.map(({ username, credential }) => {
    if (username === "" && credential === "") return Infinity;
    const seconds = /^(\d{10})(:|$)/.exec(username)?.[1];
    return seconds === undefined ? now : Number(seconds) * 1_000 - LEAST_LEFT_MS;
  });
  return Math.max(now, Math.min(now + REMEMBERED_MS, ...ends));
}

/** True if two lists name the same servers; credentials may differ. */
export function sameServers(one: readonly NamedIceServer[], other: readonly NamedIceServer[]): boolean {
  const list = (servers: readonly NamedIceServer[]) => servers.map(({ urls }) => urls.join(" ")).join("\n");
  return list(one) === list(other);
}
