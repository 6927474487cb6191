import { Code, ConnectError } from "@connectrpc/connect";
import { AuthenticatedChannel, type ChannelCore, ViamChannel } from "../channel/channel.ts";
import type { Address } from "../core/net/address.ts";
import { channelStats } from "../channel/channel_stats.ts";
import { backoffMs } from "../core/dial/backoff.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import { describeTarget, type DialPlan, looksLocally, planDial, type Target } from "../core/dial/plan.ts";
import { toDialError } from "./dial_failure.ts";
import { connectDirectly, type DialContext } from "./direct_link.ts";
import type { DialAttempt } from "../errors.ts";
import type { DialEvent } from "../events.ts";
import { callQuietly } from "../logger.ts";
import type { DialOptions } from "../options/options.ts";
import { wait } from "../runtime/wait.ts";
import { keepLink, type Link } from "../channel/reconnect.ts";
import { type ResolvedDialOptions, resolveDial } from "../options/resolve_options.ts";
import { TrafficCounts } from "../core/grpc/traffic_counts.ts";
import { createCarrierTransport } from "../rpc/transport.ts";
import { type DialTrace, findTelemetry } from "./telemetry.ts";
import { createTimeline } from "./timeline_recorder.ts";
import { CLIENT_HEADER } from "../runtime/version.ts";

/**
 * Connects to a machine by the best means: over WebRTC through a signaling server, or directly if it is local, has
 * no signaler, or the options say so.
 *
 * Source: Python's `viam.rpc.dial.dial`; for the order of the ways, goutils' `rpc.Dial`.
 *
 * @param address `host`, `host:port`, `[v6]:port`, `http(s)://host[:port]` or `unix:/path`.
 * @param options All of them may be left out.
 * @returns A channel that can be used at once: the first token is there, data channel 0 is open.
 * @throws {DialOptionsError} before anything is sent, if an argument cannot be used
 * @throws {DialError} if the dial fails, or one of its kinds, such as `AuthenticationError`; `cause` is what failed it
 * @throws the reason of `options.signal`, if that aborts
 *
 * @example
 * ```ts
 * import { createClient } from "@connectrpc/connect";
 * import { dial, DialOptions } from "@viam-dial/dial";
 * import { EchoService, startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine();
 * await using machine = await dial(robot.address, {
 *   ...DialOptions.withApiKey(robot.apiKey, robot.apiKeyId),
 *   insecure: true,
 * });
 * const { message } = await createClient(EchoService, machine).echo({ message: "hello" });
 * ```
 */
export function dial(address: string | URL, options?: DialOptions): Promise<ViamChannel> {
  return dialHeard(address, options, undefined);
}

/** @param also Told what `options.onEvent` is told. */
export async function dialHeard(
  address: string | URL,
  options: DialOptions | undefined,
  also: ((event: DialEvent) => void) | undefined,
): Promise<ViamChannel> {
  const { given, address: parsed, options: resolved } = resolveDial(address, options);
  const plan = planDial(parsed, {
    insecure: resolved.insecure,
    disableWebrtc: resolved.disableWebrtc,
    signalingAddress: resolved.signalingAddress,
    signalingInsecure: resolved.webrtc.signalingInsecure,
  });
  const channel = new AuthenticatedChannel(await openChannel(given, parsed, plan, resolved, also));
  return new ViamChannel(channel);
}

/**
 * Connects to a machine, or to the Viam app, directly: the same as `dial` with `disableWebrtc`, but for the bare
 * channel.
 *
 * Source: Python's `viam.rpc.dial.dial_direct`.
 *
 * @param address As for `dial`.
 * @param options As for `dial`; what concerns WebRTC is left out of account.
 * @throws as `dial` does
 *
 * @example
 * ```ts
 * import { createClient } from "@connectrpc/connect";
 * import { dialDirect } from "@viam-dial/dial";
 * import { EchoService, startMachine } from "@viam-dial/dial/testing";
 *
 * await using machine = await startMachine({ auth: "none" });
 * await using channel = await dialDirect(machine.address, { insecure: true });
 * const { message } = await createClient(EchoService, channel).echo({ message: "hello" });
 * ```
 */
export async function dialDirect(
  address: string | URL,
  options?: DialOptions,
): Promise<AuthenticatedChannel> {
  const { given, address: parsed, options: resolved } = resolveDial(address, options);
  const plan = planDial(parsed, {
    insecure: resolved.insecure,
    disableWebrtc: true,
    signalingAddress: undefined,
    signalingInsecure: undefined,
  });
  return new AuthenticatedChannel(await openChannel(given, parsed, plan, { ...resolved, mdns: false }));
}

async function openChannel(
  address: string,
  parsed: Address,
  plan: DialPlan,
  options: ResolvedDialOptions,
  also?: (event: DialEvent) => void,
): Promise<ChannelCore> {
  const listeners = new Set<(event: DialEvent) => void>();
  if (also !== undefined) listeners.add(also);
  if (options.onEvent !== undefined) listeners.add(options.onEvent);
  const emit = (event: DialEvent) => {
    // Who begins to listen now is told of the next one.
    for (const listener of [...listeners]) {
      if (listeners.has(listener)) callQuietly(() => listener(event));
    }
    logEvent(event, address, options);
  };
  const closed = new AbortController();
  const entity = options.authEntity ?? parsed.authority;
  emit({ type: "connecting", address });
  const telemetry = findTelemetry(parsed);
  const trace = telemetry?.startDial(false);
  const timeline = createTimeline(options.logger, emit, trace);
  const tokens = new Map<string, string>();
  const context: DialContext = { address, options, timeline, tokens };

  const ways: Ways = { plan, address: parsed, entity, closed: closed.signal };
  const { link: first, reconnect } = await traced(trace, attemptDial(ways, context), ({ link }) => link.kind);
  const kept = keepLink(first, {
    maxAttempts: options.maxReconnectAttempts,
    timeoutMs: options.timeoutMs,
    signal: options.signal,
    onEvent: emit,
    connect(signal) {
      const again = telemetry?.startDial(true);
      const timeline = createTimeline(options.logger, emit, again);
      return traced(
        again,
        reconnect({ address, options, timeline, tokens, reconnecting: true }, signal),
        ({ kind }) => kind,
      );
    },
  });
  emit({ type: "connected", kind: first.kind });

  const counts = new TrafficCounts();
  const headers = new Metadata(options.headers.map(([name, value]): [string, string] => [name, value]));
  if (!headers.has(CLIENT_HEADER[0])) headers.set(...CLIENT_HEADER);
  return {
    kind: first.kind,
    timeline: timeline.entries,
    transport: createCarrierTransport({
      carrier: () => kept.carrier(),
      baseUrl: first.baseUrl,
      interceptors: [...telemetry === undefined ? [] : [telemetry.interceptor], ...options.interceptors],
      headers,
      authorization: first.authorization,
      counts,
      maxBufferedBytes: options.maxBufferedBytes,
    }),
    state: () => kept.state,
    path: () => kept.link.path(),
    stats: () => channelStats(counts, kept.reconnects, kept.link.wire?.()),
    closed: kept.closed,
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      closed.abort(new ConnectError("the channel is closed", Code.Unavailable));
      await kept.close();
    },
    onAbandoned(closing) {
      options.logger.warn("closing a channel that nothing uses any more, and that nobody closed", {
        address,
      });
      closing.catch((error) => options.logger.error("cannot close it", { address, error: String(error) }));
    },
  };
}

/** Ends the spans of a dial with the dial. */
async function traced<T>(
  trace: DialTrace | undefined,
  dialing: Promise<T>,
  kindOf: (dialed: T) => string,
): Promise<T> {
  if (trace === undefined) return await dialing;
  try {
    const dialed = await dialing;
    trace.end({ kind: kindOf(dialed) });
    return dialed;
  } catch (error) {
    trace.end({ error });
    throw error;
  }
}

/** How long the way through the cloud waits for a machine that was found, in milliseconds from there on. */
const LOCAL_HEAD_START_MS = 300;

/** Where a dial may lead. */
interface Ways {
  readonly plan: DialPlan;
  /** What may be looked for on the local network, too. */
  readonly address: Address;
  readonly entity: string;
  /** Aborted when the channel is closed. */
  readonly closed: AbortSignal;
}

/** A link, and how to make another of its kind. */
interface DialedLink {
  readonly link: Link;
  readonly reconnect: (context: DialContext, signal: AbortSignal) => Promise<Link>;
}

/** Dials within one budget of time, as often as the options have it. */
async function attemptDial(ways: Ways, context: DialContext): Promise<DialedLink> {
  const { plan } = ways;
  const { options, timeline, address } = context;
  const attempts: DialAttempt[] = [];
  const budget = new AbortController();
  options.signal?.throwIfAborted();
  const timer = options.timeoutMs === Infinity ? undefined : setTimeout(
    () => budget.abort(new DOMException("the dial took too long", "TimeoutError")),
    options.timeoutMs,
  );
  const signal = options.signal === undefined
    ? budget.signal
    : AbortSignal.any([budget.signal, options.signal]);
  try {
    for (let attempt = 1;; attempt++) {
      let begun = false;
      try {
        await wait(backoffMs(attempt, Math.random()), signal);
        begun = true;
        return await dialEitherWay(ways, context, signal);
      } catch (thrown) {
        if (options.signal?.aborted === true) throw options.signal.reason;
        // Time that runs out between two attempts is not what the last one failed with.
        const before = begun ? undefined : attempts.at(-1);
        const error = before === undefined ? thrown : before.error;
        if (before === undefined) {
          attempts.push({
            path: plan.kind,
            target: describeTarget(plan.kind === "direct" ? plan.target : plan.signaling),
            error,
          });
        }
        if (attempt < options.initialAttempts && !signal.aborted) continue;
        throw toDialError({
          error,
          phase: timeline.phase,
          address,
          attempts,
          timeline: timeline.entries,
          authenticated: options.credentials !== undefined || options.accessToken !== undefined,
          ...(before === undefined && budget.signal.aborted ? { timeoutMs: options.timeoutMs } : {}),
        });
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Dials as planned, and beside that the machine that may be on the local network. */
async function dialEitherWay(ways: Ways, context: DialContext, signal: AbortSignal): Promise<DialedLink> {
  const { plan, address, entity, closed } = ways;
  const planned = (until: AbortSignal) => dialPlan(plan, entity, context, until, closed);
  if (!looksLocally(address, context.options)) return await planned(signal);
  const [{ withHeadStart }, { findLocally }] = await Promise.all([
    import("./head_start.ts"),
    import("./local_link.ts"),
  ]);
  const dialed = await withHeadStart<DialedLink>({
    async better(until, promise) {
      const local = await findLocally(address, context, until);
      if (local === undefined) return undefined;
      promise();
      return await dialPlan(local.plan, entity, local.context, until, closed);
    },
    other: planned,
    headStartMs: LOCAL_HEAD_START_MS,
    discard: ({ link }) => link.close(),
    signal,
  });
  if (dialed.link.kind !== "webrtc") return dialed;
  return {
    link: dialed.link,
    // It may have left the local network, or come there.
    async reconnect(again, by) {
      const { link } = await dialEitherWay(ways, again, by);
      if (link.kind === "webrtc") return link;
      await link.close();
      throw new Error("the machine can be reached directly alone, and the channel was made over WebRTC");
    },
  };
}

async function dialPlan(
  plan: DialPlan,
  entity: string,
  context: DialContext,
  signal: AbortSignal,
  closed: AbortSignal,
): Promise<DialedLink> {
  if (plan.kind === "direct") return await dialTarget(plan.target, entity, context, signal, closed);
  // What only WebRTC needs is loaded for it alone: a script that dials directly starts without.
  const { connectByWebrtc } = await import("./webrtc_link.ts");
  const link = await connectByWebrtc(plan, entity, context, signal);
  if (link !== undefined) {
    return {
      link,
      // A channel that was WebRTC stays so: a direct connection is trusted in another way.
      reconnect: async (again, by) => {
        const next = await connectByWebrtc(plan, entity, again, by);
        if (next === undefined) throw new Error("the signaling server no longer signals for this machine");
        return next;
      },
    };
  }
  context.timeline.remark("config", `no signaler for ${plan.host}; dialing it directly`);
  return await dialTarget(plan.fallback, entity, context, signal, closed);
}

async function dialTarget(
  target: Target,
  entity: string,
  context: DialContext,
  signal: AbortSignal,
  closed: AbortSignal,
): Promise<DialedLink> {
  const connect = (by: DialContext, until: AbortSignal) => connectDirectly(target, entity, by, until, closed);
  return { link: await connect(context, signal), reconnect: connect };
}

/** One line for each transition; what went wrong for good is an error. */
function logEvent(event: DialEvent, address: string, options: ResolvedDialOptions): void {
  const { logger } = options;
  callQuietly(() => {
    switch (event.type) {
      case "connected":
        return logger.info?.("connected", { address, kind: event.kind });
      case "disconnected":
        return logger.warn?.("connection lost", { address, error: event.error.message });
      case "reconnecting":
        return logger.info?.("reconnecting", { address, attempt: event.attempt });
      case "reconnectfailed":
        return logger.warn?.("reconnect failed", {
          address,
          attempt: event.attempt,
          error: event.error.message,
        });
      case "closed":
        return event.error === undefined
          ? logger.info?.("closed", { address })
          : logger.error?.("closed after the connection was lost", { address, error: event.error.message });
      default:
        return;
    }
  });
}
