import type { ICEServer } from "../../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";

/** A STUN or TURN server as users and signaling servers write it: the shape of WebRTC's `RTCIceServer`. */
export interface IceServer {
  /** `stun:host:port`, `turn:host:port?transport=udp` and the like. */
  readonly urls: string | readonly string[];
  /** For TURN. */
  readonly username?: string;
  /** For TURN; a secret. */
  readonly credential?: string;
}

/** A parsed server. */
export interface IceEndpoint {
  readonly scheme: "stun" | "turn" | "turns";
  readonly hostname: string;
  readonly port: number;
  readonly transport: "udp" | "tcp";
  readonly username: string | undefined;
  readonly credential: string | undefined;
}

/** The default servers of goutils (`rpc/wrtc_peer.go`; protocol §3.6). */
const DEFAULT_ICE_SERVERS: readonly IceServer[] = [
  { urls: ["stun:global.stun.twilio.com:3478", "stun:turn.viam.com:443"] },
];

/** The inputs of the choice of servers. */
export interface IceChoice {
  /** The caller's list, which replaces the defaults. */
  readonly iceServers?: readonly IceServer[] | undefined;
  /** The signaling server's list, which is appended. */
  readonly additional: readonly ICEServer[];
  /** True if the path to the machine can lead over the internet; otherwise the defaults are useless. */
  readonly publicNetwork: boolean;
  /** Uses TURN servers only. */
  readonly forceRelay?: boolean | undefined;
  /** Uses no TURN servers. */
  readonly forceP2P?: boolean | undefined;
  /** Uses only the TURN server with this URL; STUN servers stay. */
  readonly turnUri?: string | undefined;
  /** Replaces the scheme of the remaining TURN servers. */
  readonly turnScheme?: "turn" | "turns" | undefined;
  /** Replaces their port. */
  readonly turnPort?: number | undefined;
  /** Replaces their transport. */
  readonly turnTransport?: "udp" | "tcp" | undefined;
}

/** The ICE configuration of a peer connection. */
export interface IceConfiguration {
  /** STUN and TURN servers, each once, in order; at most two for TURN. */
  readonly endpoints: readonly IceEndpoint[];
  /** Offers relay candidates only. */
  readonly relayOnly: boolean;
  /** Remarks on what was left out, and why; without secrets. */
  readonly remarks: readonly string[];
}

/** The engine uses the first two and silently ignores the rest (libjuice `MAX_RELAY_ENTRIES_COUNT`). */
const MAX_TURN_SERVERS = 2;

/** Merges the caller's servers with the signaling server's (protocol §3.6). */
export function chooseIceServers(choice: IceChoice): IceConfiguration {
  const remarks: string[] = [];
  const relayOnly = choice.forceRelay === true;
  const own = choice.iceServers ?? (choice.publicNetwork ? DEFAULT_ICE_SERVERS : []);
  const stun = new Map<string, IceEndpoint>();
  const turn = new Map<string, IceEndpoint>();
  const only = choice.turnUri === undefined ? undefined : parseIceUrl(choice.turnUri);

  function add(url: string, username: string | undefined, credential: string | undefined): void {
    const endpoint = parseIceUrl(url, username, credential);
    if (endpoint === undefined) {
      // Some URLs contain a name and password.
      const shown = url.replace(/^.*@/, "…@");
      remarks.push(`left out the ICE server ${shown}: it is not a stun:, turn: or turns: URL`);
    } else if (endpoint.scheme === "stun") {
      stun.set(keyOf(endpoint), stun.get(keyOf(endpoint)) ?? endpoint);
    } else if (choice.forceP2P !== true && (only === undefined || keyOf(only) === keyOf(endpoint))) {
      const wanted = override(url, endpoint, choice);
      if (wanted.scheme === "turns" && wanted.transport === "udp") {
        remarks.push(
          `left out the ICE server ${url}: TURN over DTLS is not supported; set webrtc.turnTransport`,
        );
      } else {
        turn.set(keyOf(wanted), turn.get(keyOf(wanted)) ?? wanted);
      }
    }
  }

  // Without relays the signaling server's list is ignored, as in Go.
  for (
    const { urls, username, credential } of choice.forceP2P === true ? own : [...own, ...choice.additional]
  ) {
    for (const url of [urls].flat()) add(url, username, credential);
  }
  if (only !== undefined && turn.size === 0) remarks.push(`no TURN server is ${choice.turnUri}`);

  // The TypeScript SDK does the same with every server of the signaling server's list: it is also asked over TCP.
  const first = [...turn.values()].find(({ transport }) => transport === "udp");
  const isOpen = only === undefined && choice.turnTransport === undefined && choice.iceServers === undefined;
  if (isOpen && first !== undefined && ![...turn.values()].some(({ transport }) => transport === "tcp")) {
    const overTcp: IceEndpoint = { ...first, transport: "tcp" };
    turn.set(keyOf(overTcp), overTcp);
  }
  const chosen = chooseTurnServers([...turn.values()]);
  const left = turn.size - chosen.length;
  if (left > 0) remarks.push(`left out ${left} of ${turn.size} TURN servers: two are enough`);
  return { endpoints: [...stun.values(), ...chosen], relayOnly, remarks };
}

/** Identifies a server and its transport. */
function keyOf({ scheme, hostname, port, transport }: IceEndpoint): string {
  return `${scheme} ${hostname.toLowerCase()} ${port} ${transport}`;
}

function override(url: string, endpoint: IceEndpoint, choice: IceChoice): IceEndpoint {
  const scheme = choice.turnScheme ?? endpoint.scheme;
  // A transport or port that the URL leaves open is that of the new scheme.
  const again = parseIceUrl(url.replace(/^turns?:/i, `${scheme}:`))!;
  return {
    ...endpoint,
    scheme,
    port: choice.turnPort ?? again.port,
    transport: choice.turnTransport ?? again.transport,
  };
}

/**
 * Chooses at most two servers that get through different networks: if there are both kinds, the first over UDP, which
 * is faster, and of the others the one that firewalls are likeliest to let through.
 */
function chooseTurnServers(servers: readonly IceEndpoint[]): readonly IceEndpoint[] {
  const overUdp = servers.filter(({ transport }) => transport === "udp");
  const overTcp = servers.filter(({ transport }) => transport === "tcp")
    .toSorted((one, other) => passability(other) - passability(one));
  if (overUdp.length > 0 && overTcp.length > 0) return [overUdp[0]!, overTcp[0]!];
  return [...overUdp, ...overTcp].slice(0, MAX_TURN_SERVERS);
}

function passability({ scheme, port }: IceEndpoint): number {
  return (port === 443 ? 2 : 0) + (scheme === "turns" ? 1 : 0);
}

/**
 * Parses a STUN or TURN URL (RFC 7064, RFC 7065). The port defaults to 3478, and to 5349 for `turns`; the transport to
 * udp, and to tcp for `turns`, as in Go (protocol §3.6). A query on a `stun:` URL, which is invalid but sent by Rust,
 * is ignored.
 */
export function parseIceUrl(url: string, username?: string, credential?: string): IceEndpoint | undefined {
  const match = /^(stun|turn|turns):(?:\/\/)?(\[[0-9A-Fa-f:.]+\]|[^:?/@\s[\]]+)(?::(\d{1,5}))?(?:\?(.*))?$/i
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
