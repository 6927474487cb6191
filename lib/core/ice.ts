import type { ICEServer } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";

/** A STUN or TURN server as users and signaling servers write it: the shape of WebRTC's `RTCIceServer`. */
export interface IceServer {
  /** `stun:host:port`, `turn:host:port?transport=udp` and the like. */
  readonly urls: string | readonly string[];
  /** For TURN. */
  readonly username?: string;
  /** For TURN; a secret. */
  readonly credential?: string;
}

/** A server taken apart. */
export interface IceEndpoint {
  readonly scheme: "stun" | "turn" | "turns";
  readonly hostname: string;
  readonly port: number;
  readonly transport: "udp" | "tcp";
  readonly username: string | undefined;
  readonly credential: string | undefined;
}

/** What goutils asks first (`rpc/wrtc_peer.go`; protocol §3.6). */
export const DEFAULT_ICE_SERVERS: readonly IceServer[] = [
  { urls: ["stun:global.stun.twilio.com:3478", "stun:turn.viam.com:443"] },
];

/** How the servers to use are chosen. */
export interface IceChoice {
  /** The caller's own list; replaces the defaults. */
  readonly iceServers: readonly IceServer[] | undefined;
  /** The signaling server's list, appended. */
  readonly additional: readonly ICEServer[];
  /** Whether the way to the machine can lead over the internet; without it the defaults are of no use. */
  readonly publicNetwork: boolean;
}

/** Every server to use, in order. URLs that cannot be read are returned apart. */
export function chooseIceServers(
  choice: IceChoice,
): { readonly endpoints: readonly IceEndpoint[]; readonly unreadable: readonly string[] } {
  const servers: IceServer[] = [
    ...choice.iceServers ?? (choice.publicNetwork ? DEFAULT_ICE_SERVERS : []),
    ...choice.additional.map(({ urls, username, credential }) => ({ urls, username, credential })),
  ];
  const endpoints: IceEndpoint[] = [];
  const unreadable: string[] = [];
  for (const server of servers) {
    for (const url of typeof server.urls === "string" ? [server.urls] : server.urls) {
      const endpoint = parseIceUrl(url, server.username, server.credential);
      if (endpoint === undefined) unreadable.push(url);
      else endpoints.push(endpoint);
    }
  }
  return { endpoints, unreadable };
}

/**
 * Reads a STUN or TURN URL (RFC 7064, RFC 7065). Ports default to 3478, and to 5349 for `turns`; transports to udp,
 * and to tcp for `turns`, as in Go (protocol §3.6). A query on a `stun:` URL, which is not allowed but which Rust
 * sends, is left out of account.
 */
export function parseIceUrl(url: string, username?: string, credential?: string): IceEndpoint | undefined {
  const match = /^(stun|turn|turns):(?:\/\/)?(\[[0-9A-Fa-f:.]+\]|[^:?/[\]]+)(?::(\d{1,5}))?(?:\?(.*))?$/i
    .exec(url);
  if (match === null) return undefined;
  const scheme = match[1]!.toLowerCase() as IceEndpoint["scheme"];
  const port = match[3] === undefined ? (scheme === "turns" ? 5349 : 3478) : Number(match[3]);
  if (port < 1 || port > 65_535) return undefined;
  const asked = scheme === "stun" ? undefined : new URLSearchParams(match[4] ?? "").get("transport");
  if (asked !== undefined && asked !== null && asked !== "udp" && asked !== "tcp") return undefined;
  return {
    scheme,
    hostname: match[2]!.replace(/^\[|\]$/g, ""),
    port,
    transport: asked ?? (scheme === "turns" ? "tcp" : "udp"),
    username: username === "" ? undefined : username,
    credential: credential === "" ? undefined : credential,
  };
}
