import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { AuthenticatedChannel, ViamChannel } from "../channel/channel.ts";
import type { Link } from "../channel/link.ts";
import { keepLink } from "../channel/reconnect.ts";
import { channelStats } from "../channel/stats.ts";
import { MAX_PAUSE_MS, tryPauseMs } from "../core/dial/backoff.ts";
import { mayPass } from "../core/dial/failure_reason.ts";
import type { TimelineEntry } from "../core/dial/timeline.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import { TrafficCounts } from "../core/grpc/traffic_counts.ts";
import type { DialEvent } from "../events.ts";
import { guardCallback, type Logger } from "../logger.ts";
import type { DialOptions } from "../options/dial_options.ts";
import { type ResolvedDial, resolveDial } from "../options/resolve.ts";
import type { CallSessions } from "../rpc/call_sessions.ts";
import { createCarrierTransport } from "../rpc/transport.ts";
import { CLIENT_HEADER } from "../runtime/version.ts";
import { attemptDial, dialError } from "./attempts.ts";
import { type DialContext, planned } from "./context.ts";
import { retry } from "./retry.ts";
import { findTelemetry } from "./telemetry.ts";
import { createTimeline } from "./timeline.ts";
import { connectAnyWay } from "./ways.ts";

/**
 * Connects to a machine: over WebRTC through a signaling server, or directly if the machine is local, has
 * no signaler, or the options say so.
 *
 * Source: Python's `viam.rpc.dial.dial`; for the order of the ways, goutils' `rpc.Dial`.
 *
 * @param address `host`, `host:port`, `[v6]:port`, `http(s)://host[:port]` or `unix:/path`.
 * @param options All are optional.
 * @returns A channel that is ready: the first token is fetched, and data channel 0 is open.
 * @throws {DialOptionsError} before anything is sent, if an argument is invalid
 * @throws {DialError} if the dial fails, or a subclass, such as `AuthenticationError`; `cause` is what failed it
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
export async function dial(address: string | URL, options?: DialOptions): Promise<ViamChannel> {
  return new ViamChannel(await openChannel(resolveDial(address, options)));
}

/**
 * Connects to a machine, or to the Viam app, directly: the same as `dial` with `disableWebrtc`, but for the bare
 * channel.
 *
 * Source: Python's `viam.rpc.dial.dial_direct`.
 *
 * @param address As for `dial`.
 * @param options As for `dial`; those of WebRTC are ignored.
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
  const resolved = resolveDial(address, options);
  return await openChannel({
    ...resolved,
    options: { ...resolved.options, disableWebrtc: true, mdns: false },
  });
}

async function openChannel(resolved: ResolvedDial): Promise<AuthenticatedChannel> {
  const { given, address, options } = resolved;
  const { logger } = options;
  const listeners = new Set<(event: DialEvent) => void>();
  if (options.onEvent !== undefined) listeners.add(guardCallback("onEvent", options.onEvent, logger));
  function emit(event: DialEvent): void {
    // A listener that is added meanwhile receives the next event.
    for (const listener of [...listeners]) {
      if (listeners.has(listener)) listener(event);
    }
    logEvent(event, given, logger);
  }
  const closed = new AbortController();
  const telemetry = findTelemetry(address);
  const shared = planned(resolved, closed.signal);
  async function connect(
    reconnecting: boolean,
    attempt: (dial: DialContext) => Promise<Link>,
    onProgress: (entry: TimelineEntry) => void = () => {},
  ) {
    const trace = telemetry?.startDial(reconnecting);
    const timeline = createTimeline(logger, (entry) => {
      onProgress(entry);
      emit({ type: "progress", entry });
    }, trace);
    try {
      const link = await attempt({ ...shared, reconnecting, timeline });
      trace?.end({ kind: link.kind });
      return { link, timeline };
    } catch (error) {
      trace?.end({ error });
      throw error;
    }
  }

  emit({ type: "connecting", address: given });
  const { link: first, timeline } = await connect(false, attemptDial);
  const kept = keepLink(first, {
    maxAttempts: options.maxReconnectAttempts,
    timeoutMs: options.timeoutMs,
    signal: options.signal,
    onEvent: emit,
    connect(signal) {
      let last: DialContext | undefined;
      return retry({
        start(by) {
          const reached = Promise.withResolvers<void>();
          const attempt = (dial: DialContext) => connectAnyWay(last = dial, by);
          const connecting = connect(true, attempt, ({ phase, ok }) => {
            if (phase === "connect" && ok) reached.resolve();
          });
          return { result: connecting.then(({ link }) => link), reached: reached.promise };
        },
        mayPass,
        pauseMs: (failures) => tryPauseMs(failures, Math.random()),
        joinAfterMs: MAX_PAUSE_MS,
        discard: (late) => late.close(),
        background: shared.background,
        signal,
      }).catch((error) => {
        throw last === undefined ? error : dialError(last, error);
      });
    },
  });
  // Closed once its links are done with it; `close()` reports what fails.
  kept.closed.then(() => kept.close()).finally(() => shared.servers.close()).catch(() => {});
  emit({ type: "connected", kind: first.kind });

  const counts = new TrafficCounts();
  const headers = new Metadata(options.headers.map(([name, value]): [string, string] => [name, value]));
  if (!headers.has(CLIENT_HEADER[0])) headers.set(...CLIENT_HEADER);
  const carrying = {
    carrier: () => kept.carrier(),
    baseUrl: first.baseUrl,
    headers,
    authorization: first.authorization,
    maxBufferedBytes: options.maxBufferedBytes,
  };
  async function openSession(): Promise<CallSessions> {
    // Only programs with a session load this. With the option, the attempt has done so within its budget.
    const { keepSession } = await import("../session/keep_session.ts");
    const session = keepSession({
      // Neither interceptors nor statistics see the session's own calls.
      transport: createCarrierTransport({ ...carrying, carrier: () => kept.carrier(true), urgent: true }),
      connected: carrying.carrier,
      methods: options.session ? options.session.methods ?? [] : [],
      log: (level, message) => logger[level](message, { address: given }),
    });
    listeners.add((event) => session.heard(event));
    first.onSessionLost?.(session.connectionLost);
    return session;
  }
  function transportWith(sessions: CallSessions | undefined): Transport {
    return createCarrierTransport({
      ...carrying,
      interceptors: [...telemetry === undefined ? [] : [telemetry.interceptor], ...options.interceptors],
      sessions,
      counts,
    });
  }
  const transport = transportWith(options.session ? await openSession() : undefined);
  let inSession: Promise<Transport> | undefined = options.session === undefined
    ? undefined
    : Promise.resolve(transport);
  return new AuthenticatedChannel({
    kind: first.kind,
    timeline: Object.freeze([...timeline.entries]),
    logger,
    transport,
    inSession: () => inSession ??= openSession().then(transportWith),
    state: () => kept.state,
    path: () => kept.link.path(),
    stats: () => channelStats(counts, kept.reconnects, kept.link.wire?.(), kept.link.bulkWire?.()),
    closed: kept.closed,
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      closed.abort(new ConnectError("the channel is closed", Code.Unavailable));
      try {
        await kept.close();
      } finally {
        await shared.servers.close();
        await shared.background.over();
      }
    },
    onAbandoned(closing) {
      logger.warn("closing a channel that nothing uses any more, and that nobody closed", { address: given });
      closing.catch((error) => logger.error("cannot close it", { address: given, error: String(error) }));
    },
  });
}

/** Logs each transition in one line; the event that ends the channel is logged as an error. */
function logEvent(event: DialEvent, address: string, logger: Required<Logger>): void {
  switch (event.type) {
    case "connected":
      return logger.info("connected", { address, kind: event.kind });
    case "disconnected":
      return logger.warn("connection lost", { address, error: event.error.message });
    case "reconnecting":
      return logger.info("reconnecting", { address, attempt: event.attempt });
    case "reconnectfailed":
      return logger.warn("reconnect failed", { address, attempt: event.attempt, error: event.error.message });
    case "closed":
      return event.error === undefined
        ? logger.info("closed", { address })
        : logger.error("closed after the connection was lost", { address, error: event.error.message });
  }
}
