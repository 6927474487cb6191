import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { authenticate, authenticateTo, fixedAuthorization, refreshedAuthorization } from "./auth.ts";
import { MAX_MESSAGE_BYTES } from "./core/limits.ts";
import { Metadata } from "./core/metadata.ts";
import { describeTarget, type Target, urlOf } from "./core/plan.ts";
import { type DirectCarrier, openDirectCarrier } from "./direct/direct_carrier.ts";
import type { Endpoint, TlsSettings } from "./direct/endpoint.ts";
import { probeTls } from "./direct/tls_probe.ts";
import { insecureConnection } from "./dial_failure.ts";
import { callQuietly } from "./logger.ts";
import type { TlsOptions } from "./options.ts";
import type { ResolvedDialOptions } from "./resolve_options.ts";
import type { Link } from "./reconnect.ts";
import { abortable } from "./rpc/abortable.ts";
import type { Authorization } from "./rpc/authorization.ts";
import { createCarrierTransport } from "./rpc/transport.ts";
import { RUNTIME } from "./runtime.ts";
import type { TimelineRecorder } from "./timeline_recorder.ts";
import { CLIENT_HEADER } from "./version.ts";

/** What a dial has at hand. */
export interface DialContext {
  /** The address as given, for messages. */
  readonly address: string;
  readonly options: ResolvedDialOptions;
  readonly timeline: TimelineRecorder;
}

/** A server that was reached over HTTP, and the target it was reached as: downgraded, perhaps. */
export interface ReachedServer {
  readonly carrier: DirectCarrier;
  readonly target: Target;
}

/**
 * Reaches a server, with TLS or without as the options have it (protocol §2.7). A server that speaks no TLS shows
 * so by the first byte of its answer to a TLS greeting; nothing else, no refusal, silence or bad certificate, ever
 * leads to plaintext.
 */
export async function reachServer(
  target: Target,
  serverName: string | undefined,
  dial: DialContext,
  signal: AbortSignal,
): Promise<ReachedServer> {
  const { options, timeline } = dial;
  const endpoint = endpointOf(target, options.tls, serverName);
  const open = (to: Target, at: Endpoint) =>
    timeline.step(
      "connect",
      (carrier) =>
        `${
          describeTarget(to)
        } speaks ${carrier.description.protocol} over ${carrier.description.httpVersion}`,
      () =>
        openDirectCarrier(at, {
          protocol: options.protocol,
          maxMessageBytes: MAX_MESSAGE_BYTES,
          keepAliveMs: options.keepAliveMs === Infinity ? 0 : options.keepAliveMs,
          signal,
          runtime: RUNTIME,
        }),
    );
  if (!target.secure) return { carrier: await open(target, endpoint), target };

  const authenticated = options.credentials !== undefined || options.accessToken !== undefined;
  const allowed = authenticated ? options.allowInsecureWithCredsDowngrade : options.allowInsecureDowngrade;
  const probe = () => timeline.step("tls", (answer) => TLS_ANSWERS[answer], () => probeTls(endpoint, signal));
  // When plaintext would do, asking first spares a failed handshake; when it would not, asking only explains one.
  if (!allowed || await probe() !== "plaintext") {
    try {
      return { carrier: await open(target, endpoint), target };
    } catch (error) {
      if (signal.aborted || allowed || await probe() !== "plaintext") throw error;
      throw insecureConnection(
        { phase: "tls", address: dial.address, attempts: [], timeline: timeline.entries },
        describeTarget(target),
        authenticated,
      );
    }
  }
  callQuietly(() =>
    options.logger.warn?.(
      authenticated
        ? "downgrading to an insecure connection, and sending credentials over it"
        : "downgrading to an insecure connection",
      { target: describeTarget(target) },
    )
  );
  const plain = { ...target, secure: false };
  return { carrier: await open(plain, endpointOf(plain, {}, undefined)), target: plain };
}

const TLS_ANSWERS = {
  tls: "the server speaks TLS",
  plaintext: "the server speaks no TLS",
  unknown: "the server does not say whether it speaks TLS",
};

function endpointOf(target: Target, tls: TlsOptions, serverName: string | undefined): Endpoint {
  const settings: TlsSettings = serverName === undefined ? tls : { serverName, ...tls };
  return {
    secure: target.secure,
    hostname: target.hostname,
    port: target.port,
    ...(target.unixPath === undefined ? {} : { unixPath: target.unixPath }),
    ...(target.secure ? { tls: settings } : {}),
  };
}

/** A transport to one server, for the dial's own calls or for a channel's. */
export function transportTo(
  server: ReachedServer,
  options: ResolvedDialOptions,
  authorization: Authorization | undefined,
  headers: readonly (readonly [string, string])[] = [],
): Transport {
  return createCarrierTransport({
    carrier: () => server.carrier,
    baseUrl: urlOf(server.target),
    headers: new Metadata([
      [...CLIENT_HEADER],
      ...headers.map(([name, value]): [string, string] => [name, value]),
    ]),
    authorization,
    maxBufferedBytes: options.maxBufferedBytes,
  });
}

/**
 * Who the calls to a server are made as. Fetches the first token, so that a wrong key is an error of the dial and
 * not of the first call.
 *
 * @param closed Stops refreshes.
 */
export async function authorize(
  server: ReachedServer,
  entity: string,
  dial: DialContext,
  signal: AbortSignal,
  closed: AbortSignal,
): Promise<Authorization | undefined> {
  const { options, timeline } = dial;
  const { accessToken, credentials, externalAuth } = options;
  if (accessToken !== undefined) return fixedAuthorization(accessToken);
  if (credentials === undefined) return undefined;
  const fetchToken = externalAuth === undefined
    ? (by: AbortSignal) => authenticate(transportTo(server, options, undefined), entity, credentials, by)
    : (by: AbortSignal) => fetchExternalToken(entity, dial, by);
  const authorization = refreshedAuthorization(fetchToken, closed);
  await timeline.step("authenticate", () => `as ${entity} with ${credentials.type}`, async () => {
    const token = authorization.token();
    await (token instanceof Promise ? abortable(token, signal) : token);
  });
  return authorization;
}

async function fetchExternalToken(entity: string, dial: DialContext, signal: AbortSignal): Promise<string> {
  const { options } = dial;
  const { credentials, externalAuth } = options;
  if (credentials === undefined || externalAuth === undefined) {
    throw new ConnectError("no credentials", Code.Unauthenticated);
  }
  const { parsed, toEntity } = externalAuth;
  const insecure = externalAuth.insecure ?? options.insecure;
  const secure = parsed.scheme === undefined ? !insecure : parsed.scheme === "https";
  const server = await reachServer(
    {
      hostname: parsed.hostname,
      port: parsed.port ?? (secure ? 443 : 80),
      secure,
      unixPath: parsed.unixPath,
    },
    undefined,
    dial,
    signal,
  );
  try {
    const transport = transportTo(server, options, undefined);
    // Whoever authenticates elsewhere is known there by its own name (protocol §2.1).
    const first = await authenticate(transport, entity, credentials, signal);
    return await authenticateTo(transport, first, toEntity, signal);
  } finally {
    await server.carrier.close();
  }
}

/** Makes a direct link: reaches the machine, and gets a token from it (protocol §2.9, step 3). */
export async function connectDirectly(
  target: Target,
  entity: string,
  dial: DialContext,
  signal: AbortSignal,
  closed: AbortSignal,
): Promise<Link> {
  const server = await reachServer(target, serverNameOf(target, dial.options), dial, signal);
  try {
    const authorization = await authorize(server, entity, dial, signal, closed);
    return {
      kind: "direct",
      carrier: server.carrier,
      authorization,
      baseUrl: urlOf(server.target),
      lost: new Promise(() => {}), // a session that is lost is replaced by the next call
      path: () => {
        const { protocol, httpVersion } = server.carrier.description;
        return {
          kind: "direct",
          protocol: `${protocol} over ${httpVersion}`,
          local: undefined,
          remote: describeTarget(server.target),
          roundTripMs: undefined,
        };
      },
      close: () => server.carrier.close(),
    };
  } catch (error) {
    await server.carrier.close();
    throw error;
  }
}

/**
 * The name to verify instead of the host's: `authEntity`, for credentials whose entity is a host (as in Python;
 * protocol §2.3). The entity of an API key is its id, and no name.
 */
function serverNameOf(target: Target, options: ResolvedDialOptions): string | undefined {
  const { authEntity, credentials } = options;
  if (credentials === undefined || credentials.type === "api-key") return undefined;
  return authEntity === undefined || authEntity === target.hostname ? undefined : authEntity;
}
