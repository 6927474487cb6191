import type { Transport } from "@connectrpc/connect";
import { type DialPlan, firstServer, targetOf } from "../core/dial/plan.ts";
import { ANSWER_ROUND_TRIPS, connectRoundTrips, PROBE_ROUND_TRIPS } from "../core/dial/round_trips.ts";
import { describeChosen } from "../core/net/proxy.ts";
import { describeTarget, type Target, urlOf } from "../core/net/target.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import { MAX_MESSAGE_BYTES } from "../core/limits.ts";
import { parseAddress } from "../core/net/address.ts";
import {
  connectionError,
  connectionFailure,
  connectionReason,
  isProxyFailure,
} from "../core/net/connection_error.ts";
import { type DirectCarrier, openDirectCarrier } from "../direct/direct_carrier.ts";
import type { Endpoint } from "../direct/endpoint.ts";
import type { Credentials } from "../options/credentials.ts";
import type { TlsOptions } from "../options/dial_options.ts";
import type { ResolvedDialOptions } from "../options/resolve.ts";
import {
  authenticate,
  authenticateTo,
  fixedAuthorization,
  renewedAuthorization,
} from "../rpc/authentication.ts";
import type { Authorization } from "../rpc/authorization.ts";
import type { Carrier } from "../rpc/carrier.ts";
import { hideInErrors } from "../rpc/hide_in_errors.ts";
import { createCarrierTransport } from "../rpc/transport.ts";
import { abortable } from "../runtime/abortable.ts";
import { RUNTIME } from "../runtime/runtime.ts";
import { CLIENT_HEADER } from "../runtime/version.ts";
import type { DialContext } from "./context.ts";
import { insecureConnection } from "./failure.ts";

/** A server that was reached over HTTP, and the target it was reached as: downgraded, perhaps. */
export interface ReachedServer {
  readonly carrier: DirectCarrier;
  readonly target: Target;
  /** The token that was asked for as the first call. */
  readonly token?: Promise<string> | undefined;
}

/** Options for reaching a server. */
export interface ReachOptions {
  /** Of the messages to and from it; nothing that only helps to dial is compressed. */
  readonly compression?: "none" | "gzip";
  /** Interval of HTTP/2 pings, in milliseconds; 0 for none. By default as the options have it. */
  readonly keepAliveMs?: number;
  /** Says that `authorize` follows: within TLS its call shows what the server speaks, which saves a round trip. */
  readonly authorizes?: boolean;
}

/**
 * Reaches a server, with TLS or without as the options have it (protocol §2.7). A server that speaks no TLS shows
 * so by the first byte of its answer to a TLS greeting; nothing else, no refusal, silence or bad certificate, ever
 * leads to plaintext.
 *
 * @param tls Settings for this server.
 */
export async function reachServer(
  target: Target,
  tls: TlsOptions,
  dial: DialContext,
  signal: AbortSignal,
  { compression = "none", authorizes = false, keepAliveMs = dial.options.keepAliveMs }: ReachOptions = {},
): Promise<ReachedServer> {
  const { options, timeline } = dial;
  const endpoint = { ...endpointOf(target, tls, dial), fresh: dial.reconnecting };
  const open = async (to: Target, at: Endpoint): Promise<ReachedServer> => {
    let token: Promise<string> | undefined;
    const question = authorizes && isTrusted(at) && asksForToken(to, dial)
      ? (carrier: Carrier) => token = fetchToken({ carrier, target: to }, dial, signal)
      : undefined;
    const carrier = await timeline.step(
      "connect",
      ({ description: { protocol, httpVersion } }) => ({
        detail: `${describeTarget(to)} speaks ${protocol} over ${httpVersion}${throughProxy(at)}`,
        // A runtime's fetch may have a connection left from before.
        ...protocol === "grpc" ? { roundTrips: roundTripsTo(at) } : {},
      }),
      () =>
        openDirectCarrier(at, {
          protocol: options.protocol,
          question,
          compression,
          maxMessageBytes: MAX_MESSAGE_BYTES,
          keepAliveMs: keepAliveMs === Infinity ? 0 : keepAliveMs,
          signal,
          runtime: RUNTIME,
        }),
    );
    return { carrier, target: to, token };
  };
  const authenticated = isAuthenticated(options);
  const probe = () =>
    timeline.step(
      "tls",
      (answer) => ({ detail: TLS_ANSWERS[answer], roundTrips: PROBE_ROUND_TRIPS }),
      async () => {
        const { probeTls } = await abortable(import("../direct/tls_probe.ts"), signal);
        return await probeTls(endpoint, signal);
      },
    );
  const cannotAsk = (error: unknown) =>
    signal.aborted || isProxyFailure(error) || UNREACHED.has(connectionReason(error));
  if (!target.secure) {
    try {
      return await open(target, endpoint);
    } catch (error) {
      // Asking only explains the failure.
      if (cannotAsk(error) || target.unixPath !== undefined || await probe() !== "tls") throw error;
      const cause = connectionFailure("ERR_TLS_EXPECTED", "and was dialed without");
      throw connectionError(describeTarget(target), cause);
    }
  }
  try {
    return await open(target, endpoint);
  } catch (error) {
    if (cannotAsk(error) || await probe() !== "plaintext") throw error;
    if (!mayDowngrade(options)) {
      throw insecureConnection(
        {
          phase: "tls",
          address: dial.address,
          attempts: [],
          timeline: timeline.entries,
          proxy: describeChosen(endpoint.proxy),
        },
        describeTarget(target),
        authenticated,
      );
    }
  }
  options.logger.warn(
    authenticated
      ? "downgrading to an insecure connection, and sending credentials over it"
      : "downgrading to an insecure connection",
    { target: describeTarget(target) },
  );
  const plain = { ...target, secure: false };
  return await open(plain, endpointOf(plain, {}, dial));
}

/** Failures in which no server was reached, so that none can be asked for TLS. */
const UNREACHED: ReadonlySet<ReturnType<typeof connectionReason>> = new Set([
  "name not found",
  "no route to host",
  "connection refused",
]);

function roundTripsTo({ secure, unixPath, proxy }: Endpoint): number {
  const through = proxy === undefined || "problem" in proxy.proxy ? undefined : proxy.proxy;
  return connectRoundTrips({ secure, unixPath, proxy: through });
}

function throughProxy({ proxy }: Endpoint): string {
  const name = describeChosen(proxy);
  return name === undefined ? "" : `, through the proxy ${name}`;
}

const TLS_ANSWERS = {
  tls: "the server speaks TLS",
  plaintext: "the server speaks no TLS",
  unknown: "the server does not say whether it speaks TLS",
};

function endpointOf(target: Target, tls: TlsOptions, { proxyFor }: DialContext): Endpoint {
  return { ...target, proxy: proxyFor(target), ...(target.secure ? { tls } : {}) };
}

/** Reaches the signaling server of a plan. */
export function reachSignaling(
  plan: DialPlan & { readonly kind: "webrtc" },
  dial: DialContext,
  signal: AbortSignal,
): Promise<ReachedServer> {
  const tls = tlsOfPlan(plan, dial.options);
  return reachServer(plan.signaling, tls, dial, signal, { authorizes: true, keepAliveMs: 0 });
}

/** True if a dial has a secret to send. */
export function isAuthenticated({ credentials, accessToken }: ResolvedDialOptions): boolean {
  return credentials !== undefined || accessToken !== undefined;
}

/** True if a dial may continue without TLS where the server has none. */
export function mayDowngrade(options: ResolvedDialOptions): boolean {
  return isAuthenticated(options) ? options.allowInsecureWithCredsDowngrade : options.allowInsecureDowngrade;
}

/** A transport to one server, for the dial's own calls: no error of theirs has a secret of the options. */
export function transportTo(
  server: { readonly carrier: Carrier; readonly target: Target },
  options: ResolvedDialOptions,
  authorization: Authorization | undefined,
): Transport {
  const secrets = [options.credentials?.payload, options.accessToken].filter((secret) =>
    secret !== undefined
  );
  return createCarrierTransport({
    carrier: () => server.carrier,
    baseUrl: urlOf(server.target),
    headers: new Metadata([[...CLIENT_HEADER]]),
    authorization,
    maxBufferedBytes: options.maxBufferedBytes,
    interceptors: [hideInErrors(secrets)],
  });
}

/**
 * Gets a token for the calls to a server, so that a wrong key fails the dial and not the first call. Undefined when
 * the options name neither credentials nor a token.
 */
export async function authorize(
  server: ReachedServer,
  dial: DialContext,
  signal: AbortSignal,
): Promise<Authorization | undefined> {
  const { options, timeline, entity, closed, tokens } = dial;
  const { accessToken, credentials } = options;
  if (accessToken !== undefined) return fixedAuthorization(accessToken);
  if (credentials === undefined) return undefined;
  const renew = (by: AbortSignal) => fetchToken(server, dial, by);
  const before = tokens.get(tokenKey(server.target, dial));
  if (before !== undefined && server.token === undefined) {
    timeline.remark("authenticate", `with the token from before, as ${entity}`);
    return renewedAuthorization(renew, closed, before);
  }
  const first = await timeline.step(
    "authenticate",
    () => ({
      detail: `as ${entity} with ${credentials.type}`,
      // As the first call it shows what the server speaks, too, and is a part of that step.
      ...server.token === undefined ? { roundTrips: ANSWER_ROUND_TRIPS } : {},
    }),
    () => server.token ?? renew(AbortSignal.any([signal, closed])),
  );
  return renewedAuthorization(renew, closed, first);
}

/** One server's token is for no other, and what was sent with TLS goes nowhere without. */
function tokenKey(target: Target, { entity }: DialContext): string {
  return `${urlOf(target)} ${entity}`;
}

/** Tells whether a certificate proves who gets the first request, so that it may carry credentials (protocol §2.7). */
function isTrusted({ secure, tls }: Endpoint): boolean {
  return secure && tls?.rejectUnauthorized !== false;
}

/** Tells whether a token is fetched from this server itself, and none is left from before. */
function asksForToken(target: Target, dial: DialContext): boolean {
  const { accessToken, credentials, externalAuth } = dial.options;
  return credentials !== undefined && accessToken === undefined && externalAuth === undefined &&
    !dial.tokens.has(tokenKey(target, dial));
}

async function fetchToken(
  server: { readonly carrier: Carrier; readonly target: Target },
  dial: DialContext,
  signal: AbortSignal,
): Promise<string> {
  const { options: { credentials, externalAuth }, entity } = dial;
  const token = externalAuth === undefined
    ? await authenticate(transportTo(server, dial.options, undefined), entity, credentials!, signal)
    : await fetchExternalToken(credentials!, externalAuth, dial, signal);
  dial.tokens.set(tokenKey(server.target, dial), token);
  return token;
}

/**
 * Authenticates elsewhere, for a token that the machine accepts (protocol §2.5). With TLS unless that server's own
 * options say otherwise: that a machine on the local network has none says nothing of it.
 */
async function fetchExternalToken(
  credentials: Credentials,
  { parsed, toEntity, insecure = false }: NonNullable<ResolvedDialOptions["externalAuth"]>,
  dial: DialContext,
  signal: AbortSignal,
): Promise<string> {
  // It is the machine's affair what it allows without a key.
  const options = { ...dial.options, allowInsecureDowngrade: false, allowInsecureWithCredsDowngrade: false };
  const { serverName: _theMachines, ...tls } = options.tls;
  const server = await reachServer(targetOf(parsed, insecure), tls, { ...dial, options }, signal);
  try {
    const transport = transportTo(server, options, undefined);
    // A caller that names no entity is known there by that server's name (protocol §2.1).
    const entity = options.authEntity ?? parsed.authority;
    const first = await authenticate(transport, entity, credentials, signal);
    return await authenticateTo(transport, first, toEntity, signal);
  } finally {
    await server.carrier.close();
  }
}

/** TLS settings for the server that a plan reaches first. */
export function tlsOfPlan(plan: DialPlan, options: ResolvedDialOptions): TlsOptions {
  const isMachine = plan.kind === "direct" || plan.ownSignaling;
  return isMachine ? tlsOfMachine(firstServer(plan), options) : options.tls;
}

/** TLS settings for other servers, which neither have the machine's name nor see the client's certificate. */
export function tlsOfOthers({ tls }: ResolvedDialOptions): TlsOptions {
  const { serverName: _serverName, cert: _cert, key: _key, ...others } = tls;
  return others;
}

/**
 * TLS settings for the machine itself. The name to verify is that of `authEntity`, instead of the host's, for
 * credentials whose entity is a host (as in Python; protocol §2.3). The entity of an API key is its id, and no name.
 */
export function tlsOfMachine(
  target: Target,
  { authEntity, credentials, tls }: ResolvedDialOptions,
): TlsOptions {
  if (authEntity === undefined || credentials === undefined || credentials.type === "api-key") return tls;
  const named = parseAddress(authEntity);
  if ("problem" in named || named.hostname === target.hostname || named.hostname === "") return tls;
  return { serverName: named.hostname, ...tls };
}
