import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import type { WatchedLink } from "../channel/bulk_separation.ts";
import type { ChannelPath } from "../channel/link.ts";
import type { DialPlan } from "../core/dial/plan.ts";
import { ANSWER_ROUND_TRIPS, CHANNEL_ROUND_TRIPS } from "../core/dial/round_trips.ts";
import { describeCandidates, type TimelineCandidates } from "../core/dial/timeline.ts";
import { type Candidate, describeCandidate, parseCandidate } from "../core/ice/candidate.ts";
import { ExchangeError } from "../core/ice/exchange_error.ts";
import { chooseIceServers } from "../core/ice/ice.ts";
import { ownEnd } from "../core/ice/own_end.ts";
import { candidatesOf } from "../core/ice/session_description.ts";
import { MAX_MESSAGE_BYTES } from "../core/limits.ts";
import { joinHostPort } from "../core/net/address.ts";
import { describeTarget, urlOf } from "../core/net/target.ts";
import { type Background, createBackground } from "../runtime/background.ts";
import { linkAbort } from "../runtime/linked_abort.ts";
import { abortable } from "../runtime/abortable.ts";
import { type Engine, loadEngine, type Peer } from "../webrtc/peer.ts";
import { fetchSignalingConfig, NoSignalerError } from "../webrtc/signaling_client.ts";
import { connectThroughTurn, type TurnSettings } from "../webrtc/turn_servers.ts";
import { connectWebrtc, type WebrtcConnection } from "../webrtc/webrtc_connection.ts";
import { watchComputer } from "./computer.ts";
import type { DialContext } from "./context.ts";
import type { KeptServer } from "./kept_servers.ts";
import { hedge } from "./hedge.ts";
import { type TimedConfig, withConfig } from "./remembered_config.ts";
import { authorize, type ReachedServer, reachSignaling, tlsOfOthers, transportTo } from "./server.ts";

/** Most tries at one connection, and how long a try may take after its answer before the next, in milliseconds. */
const HEDGE_ATTEMPTS = 3;
const HEDGE_MS = 15;

/** Time more for each STUN or TURN server, in milliseconds: two of its requests take the turns of checks. */
const HEDGE_SERVER_MS = 100;

/**
 * Makes a WebRTC link (protocol §2.9): reaches the signaling server, gets a token and ICE servers from it, and
 * connects to the machine through it. Undefined when the server does not signal for the machine.
 *
 * @param reaching The signaling server, if it is being connected to.
 * @param signal Gives the attempt up.
 */
export async function connectByWebrtc(
  plan: WebrtcPlan,
  dial: DialContext,
  reaching: Promise<ReachedServer> | undefined,
  signal: AbortSignal,
): Promise<WatchedLink | undefined> {
  const before = reaching === undefined ? dial.servers.take(plan.signaling) : undefined;
  if (before !== undefined) {
    try {
      return await connectAgain(before, plan, dial, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof StaleConnectionError)) throw error;
    }
  }
  // Loading takes as long as a round trip or two, and needs nothing from the server.
  loadEngine().catch(() => {});
  const server = await (reaching ?? reachSignaling(plan, dial, signal));
  return await connectThrough(server, undefined, plan, dial, signal);
}

/** The connection from before is silent, or has ended: what it leads through may be gone, or the server is another. */
class StaleConnectionError extends Error {}

/**
 * Time that a server may take to answer a ping, besides two round trips, in milliseconds; and where bulk data may stand
 * in front of the answer.
 */
const PONG_MS = 200, PONG_BESIDE_MS = 3_000;

/**
 * Dials through a server that is connected, or was, and begins with the offer at once. A ping shows meanwhile whether
 * the server is still there.
 *
 * @throws {StaleConnectionError} if the ping is not answered on the connection from before
 */
async function connectAgain(
  { server, roundTripMs, isNetworkSeen }: KeptServer,
  plan: WebrtcPlan,
  dial: DialContext,
  signal: AbortSignal,
): Promise<WatchedLink | undefined> {
  const connection = server.carrier.connection!;
  const isOpen = connection.isOpen;
  const name = describeTarget(server.target);
  using asking = linkAbort([signal], {
    timeoutMs: isOpen && !isNetworkSeen
      ? 2 * roundTripMs + (dial.beside ? PONG_BESIDE_MS : PONG_MS)
      : undefined,
    onTimeout: () => new StaleConnectionError(`${name} is silent on the connection from before`),
  });
  using attempt = linkAbort([signal]);
  const answers = dial.timeline.step(
    "connect",
    () =>
      isOpen
        ? { detail: `${name} answers on the connection from before`, roundTrips: ANSWER_ROUND_TRIPS }
        : `${name} answers`,
    () => connection.ping(asking.signal),
  ).then(() => true, (error) => {
    attempt.abort(error);
    return false;
  });
  try {
    return await connectThrough(server, isOpen ? undefined : roundTripMs, plan, dial, attempt.signal);
  } catch (error) {
    if (!isOpen || signal.aborted || await answers) throw error;
    // What the attempt still waits for does not come.
    connection.drop();
    throw new StaleConnectionError(`${name} has ended the connection from before`, { cause: error });
  }
}

/**
 * Connects to the machine through a server that was reached, and keeps that for the next time.
 *
 * @param roundTripMs A round trip to the server, if it cannot be measured now.
 */
async function connectThrough(
  server: ReachedServer,
  roundTripMs: number | undefined,
  plan: WebrtcPlan,
  dial: DialContext,
  signal: AbortSignal,
): Promise<WatchedLink | undefined> {
  const { options, timeline } = dial;
  const loading = loadEngine();
  loading.catch(() => {});
  /** Attempts that still need the server; one that is given up may need it for a moment longer than the dial. */
  const attempts = createBackground();
  const closeWhenReleased = () => attempts.over().then(() => server.carrier.close());
  let kept = false;
  try {
    const isWarm = dial.tokens.size > 0;
    const signaling = transportTo(server, options, await authorize(server, dial, signal));
    const ask = async () => {
      let askedAt = performance.now();
      const config = await timeline.step(
        "config",
        ({ iceServers }) => ({
          detail: `${iceServers.length} additional ICE servers`,
          roundTrips: ANSWER_ROUND_TRIPS,
        }),
        () =>
          fetchSignalingConfig(signaling, plan.host, signal).catch((error) => {
            // The server may not know the token from before any more. Asking for its configuration changes nothing.
            if (!isWarm || ConnectError.from(error).code !== Code.Unauthenticated) throw error;
            askedAt = performance.now();
            return fetchSignalingConfig(signaling, plan.host, signal);
          }),
      );
      return { ...config, roundTripMs: roundTripMs ?? performance.now() - askedAt };
    };
    let used: TimedConfig;
    const connect = async (config: TimedConfig, by: AbortSignal) => {
      used = config;
      const engine = await timeline.step("engine", () => "loaded", () => abortable(loading, by));
      return await openConnection({ plan, server, signaling, config, engine, attempts }, dial, by);
    };
    let connection;
    try {
      const key = [urlOf(server.target), plan.host, dial.entity].join(" ");
      connection = await withConfig(key, ask, connect, signal);
    } catch (error) {
      if (error instanceof NoSignalerError) return undefined;
      throw error;
    }
    kept = true;
    const mayReconnect = options.maxReconnectAttempts > 0 && server.carrier.connection !== undefined;
    const forNext: KeptServer = { server, roundTripMs: used!.roundTripMs, isNetworkSeen: false };
    if (mayReconnect) dial.servers.keep(forNext);
    const released = mayReconnect ? attempts.over() : closeWhenReleased();
    const { carrier, peer, life } = connection;
    const unwatch = watchComputer(() => life.doubt());
    void connection.lost.then(unwatch);
    return {
      kind: "webrtc",
      carrier,
      authorization: undefined, // a token for signaling is enough (protocol §2.5)
      baseUrl: `https://${plan.host}`,
      lost: connection.lost.then(({ error, byMachine }) => {
        forNext.isNetworkSeen = byMachine;
        // A machine that ends closes its signaling server, too.
        const isUp = plan.ownSignaling && server.carrier.connection?.isOpen === true;
        return { error, byMachine: byMachine && !isUp };
      }),
      life,
      path: () => pathOf(peer),
      wire: () => ({
        bytesSent: peer.bytesSent(),
        bytesReceived: peer.bytesReceived(),
        bufferedBytes: peer.bufferedAmount(),
        roundTripMs: peer.roundTripMs(),
        sending: connection.estimate(),
      }),
      isSteered: () => connection.isSteered(),
      async close() {
        unwatch();
        await Promise.all([carrier.close(), released]);
      },
    };
  } finally {
    if (!kept && attempts.isIdle) await server.carrier.close();
    else if (!kept) dial.background.add(closeWhenReleased());
  }
}

type WebrtcPlan = DialPlan & { kind: "webrtc" };

interface Signaling {
  readonly plan: WebrtcPlan;
  readonly server: ReachedServer;
  /** To the server, with its token. */
  readonly signaling: Transport;
  readonly config: TimedConfig;
  readonly engine: Engine;
  /** Takes the attempts, each until it is released, and closed unless it is the one that counts. */
  readonly attempts: Background;
}

/**
 * Exchanges offer and answer, and waits for the data channel, in up to three tries. Two run beside each other only
 * between two libdatachannel engines, which may miss each other's handshake: a try takes one of a goutils machine's
 * two answerers.
 */
async function openConnection(
  { plan, server, signaling, config, engine, attempts }: Signaling,
  dial: DialContext,
  signal: AbortSignal,
): Promise<WebrtcConnection> {
  const { options, timeline } = dial;
  const { endpoints, relayOnly, remarks } = chooseIceServers({
    ...options.webrtc,
    additional: config.iceServers,
    publicNetwork: plan.publicNetwork,
  });
  for (const remark of remarks) timeline.remark("config", remark, false);
  if (relayOnly && endpoints.every(({ scheme }) => scheme === "stun")) {
    return await timeline.step("offer", () => "", () => Promise.reject(withoutRelay(server)));
  }
  const turn: Omit<TurnSettings, "signal"> = {
    endpoints,
    relayOnly,
    isLibdatachannel: config.engine === "libdatachannel",
    tls: tlsOfOthers(options),
    proxyFor: dial.proxyFor,
    onRemark: (remark, ok) => timeline.remark("channel", remark, ok),
  };
  const first = { offered: Promise.withResolvers<void>(), answered: Promise.withResolvers<void>() };
  const local = new Map<string, Candidate>(), remote = new Map<string, Candidate>();
  let offeredAt = performance.now();
  let answeredAfterMs = 0;
  const connecting = hedge<WebrtcConnection>({
    start(attempt, by) {
      if (attempt > 1) {
        timeline.remark("channel", "not open as soon as it should be; trying once more beside it");
      }
      const promising = Promise.withResolvers<void>();
      const { connection, released } = connectThroughTurn(
        { ...turn, signal: by },
        (iceServers, nominateThroughRelay, signal) =>
          connectWebrtc({
            engine,
            signaling,
            signalingHost: plan.signaling.hostname,
            host: plan.host,
            iceServers,
            relayOnly,
            nominateThroughRelay,
            candidatesFirst: turn.isLibdatachannel && attempt === 1,
            roundTripMs: config.roundTripMs,
            isLibdatachannel: turn.isLibdatachannel,
            maxMessageBytes: MAX_MESSAGE_BYTES,
            signal,
            onOffered() {
              offeredAt = performance.now();
              first.offered.resolve();
            },
            onAnswered(isLibdatachannel) {
              first.answered.resolve();
              answeredAfterMs = performance.now() - offeredAt;
              if (isLibdatachannel) promising.resolve();
            },
            findAddress: (name, until) => findAddress(name, dial, until),
            onCandidate(side, candidate) {
              (side === "local" ? local : remote).set(describeCandidate(candidate), candidate);
            },
          }),
      );
      attempts.add(Promise.allSettled([connection, released]));
      return { result: connection, promising: promising.promise };
    },
    attempts: dial.beside ? 1 : HEDGE_ATTEMPTS,
    // On a slow network everything takes longer: an answer that took its time says so.
    delayMs: () => Math.max(HEDGE_MS + HEDGE_SERVER_MS * endpoints.length, 4 * answeredAfterMs),
    retryable: isBadLuck,
    discard: ({ carrier }) => attempts.add(carrier.close()),
    signal,
  });
  connecting.catch(() => {});
  const reached = (step: Promise<void>) => Promise.race([step, connecting.then(() => {})]);
  await timeline.step("offer", () => "made", () => reached(first.offered.promise));
  await timeline.step(
    "signaling",
    () => ({
      detail: `${plan.host} answered through ${describeTarget(server.target)}`,
      roundTrips: ANSWER_ROUND_TRIPS,
    }),
    () => reached(first.answered.promise),
  );
  const tried = (): TimelineCandidates => ({ local: [...local.values()], remote: [...remote.values()] });
  try {
    return await timeline.step(
      "channel",
      ({ peer }) => {
        const pair = peer.selectedPair();
        const { kind, local = "?", remote = "?" } = pathOf(peer, pair);
        return {
          detail: `open, ${kind} ${local} to ${remote}`,
          roundTrips: CHANNEL_ROUND_TRIPS,
          candidates: tried(),
          ...pair === undefined ? {} : { pair },
        };
      },
      () => connecting,
    );
  } catch (error) {
    const candidates = tried();
    timeline.remark("channel", { detail: describeCandidates(candidates), candidates }, false);
    throw error;
  }
}

function withoutRelay({ target }: ReachedServer): ExchangeError {
  const server = describeTarget(target);
  return new ExchangeError(
    "connection",
    new ConnectError(
      `webrtc.forceRelay needs a TURN server, and neither webrtc.iceServers nor ${server} names one`,
      Code.FailedPrecondition,
    ),
  );
}

/** Looks on the local network for the address of a candidate, where that is wanted and permitted. */
async function findAddress(
  name: string,
  { options, timeline }: DialContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!options.mdns) return undefined;
  const [{ missingMdnsPermission }, mdns] = await abortable(
    Promise.all([import("../mdns/mdns.ts"), import("../mdns/mdns_lookup.ts")]),
    signal,
  );
  const flag = missingMdnsPermission();
  if (flag === undefined) return await mdns.findAddress(name, signal);
  timeline.remark("channel", `did not look for ${name} on the local network: needs ${flag}`);
  return undefined;
}

/** Tells whether an engine, ours or the machine's, failed a handshake: an answer may outrun its own bookkeeping. */
function isBadLuck(error: unknown): boolean {
  return error instanceof ExchangeError && !["signaling", "relay"].includes(error.reason) &&
    error.code === Code.Unavailable;
}

/** From the nearest way to the farthest. */
const KINDS: readonly (readonly [type: Candidate["type"], kind: ChannelPath["kind"]])[] = [
  ["host", "host"],
  ["prflx", "peer-reflexive"],
  ["srflx", "server-reflexive"],
  ["relay", "relay"],
];

function pathOf(peer: Peer, pair = peer.selectedPair()): ChannelPath {
  const rank = (candidate: Candidate) => KINDS.findIndex(([type]) => type === candidate.type);
  const farther = pair === undefined ? 0 : Math.max(0, rank(pair.local), rank(pair.remote));
  const local = pair === undefined ? undefined : ownEnd(pair, ownCandidates(peer));
  return {
    kind: KINDS[farther]![1],
    protocol: "webrtc",
    local: local === undefined ? undefined : joinHostPort(local.address, local.port),
    remote: pair === undefined ? undefined : joinHostPort(pair.remote.address, pair.remote.port),
    roundTripMs: peer.roundTripMs(),
  };
}

function ownCandidates(peer: Peer): Candidate[] {
  return candidatesOf(peer.localDescription() ?? "").flatMap((line) => parseCandidate(line) ?? []);
}
