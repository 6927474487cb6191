import type { Interceptor } from "@connectrpc/connect";
import type { IceServer } from "../core/ice/ice.ts";
import { isUuid } from "../core/uuid.ts";
import { describeSecret, optionProblem } from "./option_problem.ts";
import { type Credentials, hidePayload } from "./credentials.ts";
import type { DialEvent } from "../events.ts";
import { DialOptionsError } from "./options_error.ts";
import type { Logger } from "../logger.ts";

/** TLS settings of direct connections and of signaling. Source: the options of the same names of `node:tls`. */
export interface TlsOptions {
  /** Certificate authorities to trust instead of the system's, as PEM. */
  readonly ca?: string | readonly string[];
  /** The client's certificate, as PEM; with `key`. */
  readonly cert?: string;
  /** The client's private key, as PEM; with `cert`. */
  readonly key?: string;
  /** The name to ask for (RFC 6066, section 3) and to verify (RFC 9525), when it is not the host's. */
  readonly serverName?: string;
  /** False accepts any certificate: anyone in between can read and change everything. True by default. */
  readonly rejectUnauthorized?: boolean;
  /** Least version: "TLSv1.2" by default. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
}

/**
 * A third party that authenticates: it is given the credentials, and gives a token for the machine.
 *
 * Source: goutils' `rpc.WithExternalAuth` and `ExternalAuthService.AuthenticateTo`.
 */
export interface ExternalAuth {
  /** Address of the authentication server. */
  readonly address: string;
  /** Whom the token is for. */
  readonly toEntity: string;
  /** Connects to it without TLS. False by default, whatever `insecure` says of the machine. */
  readonly insecure?: boolean;
}

/**
 * How WebRTC connections are set up.
 *
 * Source: goutils' `rpc.DialWebRTCOptions`; the choice among TURN servers is the `force_relay`, `force_p2p` and
 * `turn_uri` of Python's `DialOptions`. URLs are those of RFC 7064 (STUN) and RFC 7065 (TURN).
 */
export interface WebrtcOptions {
  /** The signaling server; by default the Viam cloud for its machines, and the machine itself for others. */
  readonly signalingAddress?: string;
  /** Signals without TLS. Follows `insecure` by default. */
  readonly signalingInsecure?: boolean;
  /** STUN and TURN servers instead of the defaults. */
  readonly iceServers?: readonly IceServer[];
  /** Only through TURN servers. The engine makes one exception: a machine on this computer may be reached directly. */
  readonly forceRelay?: boolean;
  /** Never through TURN servers. */
  readonly forceP2P?: boolean;
  /** Only the TURN server of this URL. */
  readonly turnUri?: string;
  /** Overrides the scheme of TURN URLs. */
  readonly turnScheme?: "turn" | "turns";
  /** Overrides the port of TURN URLs. */
  readonly turnPort?: number;
  /** Overrides the transport of TURN URLs. */
  readonly turnTransport?: "udp" | "tcp";
}

/**
 * How to dial. Every member may be left out; times are in milliseconds.
 *
 * Source: Python's `viam.rpc.dial.DialOptions`, with its defaults, name by name; what is more is marked.
 *
 * @example
 * ```ts
 * import { DialOptions } from "@viam-dial/dial";
 *
 * const options: DialOptions = {
 *   ...DialOptions.withApiKey("the-key", "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c"),
 *   timeoutMs: 5_000,
 * };
 * ```
 */
export interface DialOptions {
  /** Dials directly, without signaling. False by default. */
  readonly disableWebrtc?: boolean;
  /** Whom to authenticate as: the host as typed by default; for an API key its id. */
  readonly authEntity?: string;
  /** How to authenticate. Without, no token is fetched or sent. */
  readonly credentials?: Credentials;
  /** A token that is there already. Not together with `credentials`. Source: goutils' `rpc.WithStaticAuthenticationMaterial`. */
  readonly accessToken?: string;
  /** Where to authenticate, when that is not the machine. */
  readonly externalAuth?: ExternalAuth;
  /** Connects without TLS. False by default. */
  readonly insecure?: boolean;
  /** Goes on without TLS if the server has none, but not with credentials. False by default. */
  readonly allowInsecureDowngrade?: boolean;
  /** Goes on without TLS if the server has none, and sends credentials in the clear. False by default. */
  readonly allowInsecureWithCredsDowngrade?: boolean;
  /** Attempts to get a lost connection back, an outage; 0 disables. 3 by default, as Python's `max_reconnect_attempts`. */
  readonly maxReconnectAttempts?: number;
  /** How often the whole dial is tried. 1 by default. Source: Python's `initial_connection_attempts`, whose default is 3. */
  readonly initialAttempts?: number;
  /**
   * Bounds the whole dial, and each reconnect; 0 or `Infinity` is no bound. 20,000 by default: signaling servers
   * end an offer after 10 s, so that two of them fit. Source: Python's `DialOptions.timeout`.
   */
  readonly timeoutMs?: number;
  /** Aborts the dial, and later reconnects; the dial rejects with its reason. */
  readonly signal?: AbortSignal;
  /** Certificates and names for TLS; what the system trusts by default. */
  readonly tls?: TlsOptions;
  /** What to speak on direct connections; by default what the server answers to. Not in Python, which has gRPC alone. */
  readonly protocol?: "auto" | "grpc" | "grpc-web";
  /**
   * Compresses the messages of direct connections, both ways; nothing by default. The server must have gzip, and
   * refuses the calls as `Unimplemented` if it has not. Source: gRPC over HTTP/2, *Message-Encoding*.
   */
  readonly compression?: "none" | "gzip";
  /** Looks for the machine on the local network, by multicast DNS (RFC 6762). True by default, as in goutils. */
  readonly mdns?: boolean;
  /** ICE servers and relaying; what the signaling server says by default. */
  readonly webrtc?: WebrtcOptions;
  /** Connect interceptors, for every call. */
  readonly interceptors?: readonly Interceptor[];
  /** Metadata of every call; a call's own of the same name goes before it. */
  readonly headers?: HeadersInit;
  /** What a slow reader of one stream may hold, in bytes. 64 MiB by default: twice the largest message of goutils. */
  readonly maxBufferedBytes?: number;
  /** Interval of HTTP/2 pings (RFC 9113, section 6.7); 0 disables. 20,000 by default. */
  readonly keepAliveMs?: number;
  /** Takes log lines instead of `LOGGER`. */
  readonly logger?: Logger;
  /** Told what happens during the dial and after. */
  readonly onEvent?: (event: DialEvent) => void;
}

/** Makes options for an API key: the companion of the `DialOptions` type. Source: Python's `DialOptions`. */
export const DialOptions: {
  /**
   * Options for an API key. Source: Python's `DialOptions.with_api_key`.
   *
   * @param apiKey The key itself.
   * @param apiKeyId The key's id, a UUID.
   * @param rest Any other options.
   * @throws {DialOptionsError} if the key is empty or the id is no UUID
   *
   * @example
   * ```ts
   * import { DialOptions } from "@viam-dial/dial";
   *
   * const options = DialOptions.withApiKey("the-key", "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c");
   * ```
   */
  withApiKey(
    apiKey: string,
    apiKeyId: string,
    rest?: Omit<DialOptions, "credentials" | "authEntity">,
  ): DialOptions;
} = { withApiKey };

/**
 * The same as `DialOptions.withApiKey`.
 *
 * Source: Python's `DialOptions.with_api_key`; a UUID is spelled in any way that Python's `uuid.UUID` takes.
 *
 * @param apiKey The key itself.
 * @param apiKeyId The key's id, a UUID.
 * @param rest Any other options.
 * @returns Frozen options; printing them shows no key.
 * @throws {DialOptionsError} if the key is empty or the id is no UUID
 *
 * @example
 * ```ts
 * import { withApiKey } from "@viam-dial/dial";
 *
 * const options = withApiKey("the-key", "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c", { timeoutMs: 5_000 });
 * ```
 */
export function withApiKey(
  apiKey: string,
  apiKeyId: string,
  rest: Omit<DialOptions, "credentials" | "authEntity"> = {},
): DialOptions {
  const problems = [];
  if (typeof apiKey !== "string" || apiKey === "") {
    problems.push(optionProblem("apiKey", apiKey, "is no non-empty string"));
  }
  if (typeof apiKeyId !== "string") {
    problems.push(optionProblem("apiKeyId", apiKeyId, "is no string"));
  } else if (!isUuid(apiKeyId)) {
    // Swapped arguments would put the key into the message.
    const swapped = typeof apiKey === "string" && isUuid(apiKey);
    const shown = swapped ? describeSecret(apiKeyId) : apiKeyId;
    const hint = swapped ? ", but the apiKey is: the key comes first, then its id" : "";
    problems.push({
      option: "apiKeyId",
      value: shown,
      message: `${shown} is not a valid UUID (apiKeyId${hint})`,
    });
  }
  if (problems.length > 0) throw new DialOptionsError(problems);
  return Object.freeze({
    ...rest,
    credentials: hidePayload({ type: "api-key", payload: apiKey }),
    authEntity: apiKeyId,
  });
}
