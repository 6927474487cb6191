import { Code, ConnectError } from "@connectrpc/connect";
import type { CandidatePair } from "../core/ice/candidate.ts";
import { messageOf } from "../core/error_message.ts";
import { ExchangeError } from "../core/ice/exchange_error.ts";
import type { IceConfiguration, IceEndpoint } from "../core/ice/ice.ts";
import { joinHostPort } from "../core/net/address.ts";
import { type ChosenProxy, describeChosen } from "../core/net/proxy.ts";
import type { ProxyFailure } from "../core/net/proxy_error.ts";
import type { Target } from "../core/net/target.ts";
import { abortable } from "../runtime/abortable.ts";
import { linkAbort } from "../runtime/linked_abort.ts";
import { isPermitted } from "../runtime/permission.ts";
import type { EngineIceServer } from "./peer.ts";
import { openTurnBridge } from "./turn_bridge.ts";
import type { TurnRelay, TurnUpstream } from "./turn_relay.ts";
import type { WebrtcAttempt, WebrtcConnection } from "./webrtc_connection.ts";

/** Options for TURN servers. */
export interface TurnSettings extends Pick<IceConfiguration, "endpoints" | "relayOnly"> {
  /** True if the machine's engine is known to be libdatachannel, which waits for no nomination. */
  readonly isLibdatachannel: boolean;
  /** Checks of certificates, for TURN over TLS. */
  readonly tls: TurnUpstream["tls"];
  /** The proxy for a server over TCP or TLS; undefined for none. */
  readonly proxyFor: (server: Target) => ChosenProxy | undefined;
  /** Told what the user should know, in a few words. */
  readonly onRemark: (remark: string, ok: boolean) => void;
  /** Gives the attempt up. */
  readonly signal: AbortSignal;
}

/** Time after its start in which a connection may still change its path, in milliseconds. */
const SETTLED_MS = 5_000;

/** Starts an attempt, which the signal gives up. */
type Connect = (
  iceServers: readonly EngineIceServer[],
  nominateThroughRelay: (pair: CandidatePair, password: string) => void,
  signal: AbortSignal,
) => WebrtcAttempt;

/** One server behind a bridge. */
interface Bridged {
  /** Address that the engine got there, `host:port`. */
  relayAddress: string | undefined;
}

/**
 * Makes a connection with TURN servers that the engine does not know by itself: it knows TURN over UDP alone. For
 * others, and for all when nothing else may be used or the machine may wait for a nomination, it is given a port on
 * loopback. What is not used is closed soon.
 */
export function connectThroughTurn(
  settings: TurnSettings,
  connect: Connect,
): WebrtcAttempt {
  const { endpoints } = settings;
  const needed = endpoints.filter((endpoint) => needsBridge(endpoint, settings));
  // With relays only, the engine gets no way to any other place.
  const direct = settings.relayOnly
    ? []
    : endpoints.filter((endpoint) => !needed.includes(endpoint)).map(toEngineServer);
  if (needed.length === 0) return connect(direct, () => {}, settings.signal);
  const released = Promise.withResolvers<void>();
  return {
    connection: connectBridged(settings, needed, direct, connect, released.resolve),
    released: released.promise,
  };
}

async function connectBridged(
  settings: TurnSettings,
  needed: readonly IceEndpoint[],
  direct: readonly EngineIceServer[],
  connect: Connect,
  release: () => void,
): Promise<WebrtcConnection> {
  const bridges = new Map<Bridged, TurnRelay>();
  const failures: string[] = [];
  /** A failure that is a proxy's, with its code. */
  let byProxy: Error | undefined;
  using given = linkAbort([settings.signal]);
  let connection: WebrtcConnection | undefined;
  const closeBridges = () => Promise.all(Array.from(bridges.values(), (relay) => relay.close()));

  async function open(endpoint: IceEndpoint): Promise<EngineIceServer[]> {
    const name = describe(endpoint);
    const bridge: Bridged = { relayAddress: undefined };
    const upstream = upstreamOf(endpoint, settings);
    const proxy = describeChosen(upstream.proxy);
    const fail = (reason: string, proxyFailure?: ProxyFailure) => {
      // A proxy's own failure names it.
      const through = proxy === undefined || proxyFailure !== undefined ? "" : ` through the proxy ${proxy}`;
      const text = `${name}${through}: ${reason}`;
      failures.push(text);
      settings.onRemark(text, false);
      if (proxyFailure !== undefined) byProxy ??= Object.assign(new Error(text), { code: proxyFailure });
      // There is no other way: nothing is left to wait for.
      if (settings.relayOnly && failures.length === needed.length) given.abort(noRelay());
    };
    try {
      const relay = await openTurnBridge(upstream, (event) => {
        if (event.type === "failed") fail(event.reason, event.proxyFailure);
        else if (event.type === "allocated") bridge.relayAddress = event.relayAddress;
        else if (event.type === "lost" && isUsed(bridge)) connection?.lose(`${name}: ${event.reason}`);
      });
      bridges.set(bridge, relay);
      return [toEngineServer({ ...endpoint, scheme: "turn", hostname: "127.0.0.1", port: relay.port })];
    } catch (error) {
      // Without a bridge, a relay to a machine on pion takes longer, and works.
      if (knows(endpoint) && !settings.relayOnly) return [toEngineServer(endpoint)];
      // Other ways may do.
      fail(messageOf(error));
      return [];
    }
  }

  function isUsed(bridge: Bridged, local = connection?.peer.selectedPair()?.local): boolean {
    if (local === undefined || local.type !== "relay") return false;
    return bridge.relayAddress === undefined ||
      bridge.relayAddress === joinHostPort(local.address, local.port);
  }

  function nominate({ local, remote }: CandidatePair, password: string): void {
    for (const [bridge, relay] of bridges) {
      if (isUsed(bridge, local)) relay.nominate(joinHostPort(remote.address, remote.port), password);
    }
  }

  const opening = Promise.all(needed.map(open));
  let attempt: WebrtcAttempt | undefined;
  try {
    const bridged = await abortable(opening, given.signal);
    attempt = connect([...direct, ...bridged.flat()], nominate, given.signal);
    connection = await attempt.connection;
  } catch (error) {
    // An attempt that is given up may still go on for a moment.
    void Promise.all([opening, attempt?.released]).then(closeBridges);
    if (attempt === undefined) release();
    else void attempt.released.then(release);
    // ICE itself says only that it found no way.
    if (!(error instanceof ExchangeError) || failures.length === 0) throw error;
    const message = [error.rawMessage, ...new Set(failures)].join("; ");
    const { reason, code, metadata, cause } = error;
    throw new ExchangeError(reason, new ConnectError(message, code, metadata, undefined, byProxy ?? cause));
  }
  void attempt.released.then(release);
  const settled = setTimeout(() => {
    for (const [bridge, relay] of bridges) {
      if (!isUsed(bridge)) void relay.close();
    }
  }, SETTLED_MS);
  const { carrier } = connection;
  return {
    ...connection,
    carrier: {
      open: (request, listener) => carrier.open(request, listener),
      async close() {
        clearTimeout(settled);
        await carrier.close();
        await closeBridges();
      },
    },
  };
}

function noRelay(): ExchangeError {
  return new ExchangeError("relay", new ConnectError("no TURN server can be reached", Code.Unavailable));
}

function needsBridge(endpoint: IceEndpoint, { relayOnly, isLibdatachannel }: TurnSettings): boolean {
  if (endpoint.scheme === "stun") return false;
  return relayOnly || !knows(endpoint) || (!isLibdatachannel && mayUseDatagrams(endpoint));
}

/** Tells whether a bridge over UDP is permitted; the engine needs no permission. */
function mayUseDatagrams({ hostname, port }: IceEndpoint): boolean {
  const hosts = ["127.0.0.1", "0.0.0.0", joinHostPort(hostname, port)];
  return hosts.every((host) => isPermitted({ name: "net", host }));
}

/** True if the engine can ask the server itself. */
function knows({ scheme, transport }: IceEndpoint): boolean {
  return scheme === "stun" || (scheme === "turn" && transport === "udp");
}

/** A STUN server, or a TURN server over UDP, as the engine takes it. */
export function toEngineServer(
  { scheme, hostname, port, username, credential }: IceEndpoint,
): EngineIceServer {
  if (scheme === "stun") return { hostname, port };
  return { hostname, port, relayType: "TurnUdp", username: username ?? "", password: credential ?? "" };
}

function upstreamOf(endpoint: IceEndpoint, { tls, proxyFor, relayOnly }: TurnSettings): TurnUpstream {
  const { scheme, hostname, port, transport } = endpoint;
  const secure = scheme === "turns";
  const proxy = secure || transport === "tcp" ? proxyFor({ hostname, port, secure }) : undefined;
  if (secure) return { hostname, port, wire: "tls", proxy, tls };
  return { hostname, port, wire: transport, proxy, redirects: knows(endpoint) && !relayOnly };
}

function describe({ scheme, hostname, port, transport }: IceEndpoint): string {
  const wire = scheme === "turns" ? "TLS" : transport.toUpperCase();
  return `TURN over ${wire} at ${joinHostPort(hostname, port)}`;
}
