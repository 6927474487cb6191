import type { Interceptor } from "@connectrpc/connect";
import type { IceServer } from "../core/ice/ice.ts";
import { isUuid } from "../core/uuid.ts";
import { describeSecret, wrongValue } from "./problem.ts";
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
  /** The name to ask for (RFC 6066, section 3) and to verify (RFC 9525); the host by default. */
  readonly serverName?: string;
  /** False accepts any certificate: anyone on the way can read and change everything. True by default. */
  readonly rejectUnauthorized?: boolean;
  /** The least version; "TLSv1.2" by default. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
}

/**
 * A third party that exchanges the credentials for a token that the machine accepts.
 *
 * Source: goutils' `rpc.WithExternalAuth` and `ExternalAuthService.AuthenticateTo`.
 */
export interface ExternalAuth {
  /** Address of the authentication server. */
  readonly address: string;
  /** The entity that the token is for. */
  readonly toEntity: string;
  /** Connects to it without TLS. False by default, also where `insecure` is set for the machine. */
  readonly insecure?: boolean;
}

/**
 * Settings of WebRTC connections.
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
  /** Connects through TURN servers only; except that the engine may reach a machine on this computer directly. */
  readonly forceRelay?: boolean;
  /** Connects without TURN servers. */
  readonly forceP2P?: boolean;
  /** Uses the TURN server of this URL only. */
  readonly turnUri?: string;
  /** Overrides the scheme of TURN URLs. */
  readonly turnScheme?: "turn" | "turns";
  /** Overrides the port of TURN URLs. */
  readonly turnPort?: number;
  /** Overrides the transport of TURN URLs. */
  readonly turnTransport?: "udp" | "tcp";
  /**
   * Gives bulk data that the machine sends a connection of its own, once small calls would wait for it: 150 ms behind
   * 48 KiB, or a second. New calls wait up to 5 s for that connection, session heartbeats do not. It is closed when there
   * has been no bulk data for 30 s. True by default. `getStats().bulkConnection` shows it.
   */
  readonly separateBulk?: boolean;
}

/** Settings of a session. */
export interface SessionOptions {
  /**
   * More methods that the machine monitors, as "/package.Service/Method": of an API of your own whose descriptors carry
   * no options. Machines ignore the session of a method that they do not monitor.
   */
  readonly methods?: readonly string[];
}

/**
 * Options of a dial. All are optional; times are in milliseconds.
 *
 * Source: Python's `viam.rpc.dial.DialOptions`, with its names and defaults; additions are marked.
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
  /** The entity to authenticate as; the host as typed by default. For an API key it is the key's id. */
  readonly authEntity?: string;
  /** The secret to authenticate with. Without one no token is fetched or sent. */
  readonly credentials?: Credentials;
  /** A token to use as it is, instead of `credentials`. Source: goutils' `rpc.WithStaticAuthenticationMaterial`. */
  readonly accessToken?: string;
  /** The server to authenticate with, if that is not the machine. */
  readonly externalAuth?: ExternalAuth;
  /** Connects without TLS. False by default. */
  readonly insecure?: boolean;
  /** Continues without TLS if the server has none, unless there are credentials. False by default. */
  readonly allowInsecureDowngrade?: boolean;
  /** Continues without TLS if the server has none, and sends credentials in cleartext. False by default. */
  readonly allowInsecureWithCredsDowngrade?: boolean;
  /**
   * Attempts to reconnect, for each outage: each lasts up to `timeoutMs`, and tries again within it while the failure
   * may pass. `Infinity` never gives up, 0 disables. 3 by default, as Python's `max_reconnect_attempts`.
   */
  readonly maxReconnectAttempts?: number;
  /** Attempts of the whole dial. 1 by default. Source: Python's `initial_connection_attempts`, whose default is 3. */
  readonly initialAttempts?: number;
  /**
   * Bounds the whole dial, and each reconnect; 0 or `Infinity` means no bound. 20,000 by default: signaling servers
   * end an offer after 10 s, so two offers fit. Source: Python's `DialOptions.timeout`.
   */
  readonly timeoutMs?: number;
  /** Aborts the dial, which rejects with its reason, and later reconnects. */
  readonly signal?: AbortSignal;
  /** Certificates and names for TLS; by default the system's authorities and the host. */
  readonly tls?: TlsOptions;
  /** The protocol of direct connections; by default one that the server answers to. Python has gRPC only. */
  readonly protocol?: "auto" | "grpc" | "grpc-web";
  /**
   * Compresses the messages of direct connections, both ways; "none" by default. A server without gzip refuses the
   * calls as `Unimplemented`. Source: gRPC over HTTP/2, *Message-Encoding*.
   */
  readonly compression?: "none" | "gzip";
  /**
   * The proxy for everything that goes over TCP, TURN over TCP and TLS included: a URL with the scheme `http`, `https`,
   * `socks5` or `socks5h`, and a user and a password if it wants them; `"environment"`, the default, for the proxies of
   * `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, on Deno where the program may read these; or `"none"`. This
   * computer, `.local` names and Unix sockets are never reached through one.
   *
   * Source: curl's and Go's reading of the variables; RFC 9110, section 9.3.6 (CONNECT); RFC 1928 (SOCKS5).
   */
  readonly proxy?: string;
  /** Looks for the machine on the local network, by multicast DNS (RFC 6762). True by default, as in goutils. */
  readonly mdns?: boolean;
  /** Signaling, ICE servers and relaying; by default as the signaling server says. */
  readonly webrtc?: WebrtcOptions;
  /**
   * Keeps a session: the machine stops what this program moved once it hears nothing more from it, 2 s by default. The
   * first call of a method that the machine monitors, such as a motor's `SetPower`, starts the session; heartbeats keep
   * it alive until the channel is closed. Off by default, as in Python's `dial`; on for the clients of `robotClient` of
   * `@viam-dial/dial/sdk`, as in Python's `RobotClient`, unless it is false.
   *
   * Source: viam-server's sessions (rdk, session/doc.go).
   */
  readonly session?: boolean | SessionOptions;
  /** Connect interceptors, for every call. */
  readonly interceptors?: readonly Interceptor[];
  /** Metadata of every call; a call's own metadata of the same name replaces it. */
  readonly headers?: HeadersInit;
  /** Bytes that a slow reader of a stream may leave unread. 64 MiB by default: twice goutils' largest message. */
  readonly maxBufferedBytes?: number;
  /**
   * Silence after which HTTP/2 connections are pinged (RFC 9113, section 6.7), in milliseconds. 20,000 by default. 0
   * disables pings, and with them the suspicion of connections that leave calls unanswered.
   */
  readonly keepAliveMs?: number;
  /** Receives log lines instead of `LOGGER`. */
  readonly logger?: Logger;
  /** Called with every event of the dial and of its channel. */
  readonly onEvent?: (event: DialEvent) => void;
}

/** The companion of the `DialOptions` type. Source: Python's `DialOptions`. */
export const DialOptions: {
  /**
   * Makes options for an API key.
   *
   * Source: Python's `DialOptions.with_api_key`; a UUID is spelled in any way that Python's `uuid.UUID` accepts.
   *
   * @param apiKey The key itself.
   * @param apiKeyId The key's id, a UUID.
   * @param rest Any other options.
   * @returns Frozen options; printing them shows no key.
   * @throws {DialOptionsError} if the key is empty or the id is not a UUID
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
} = {
  withApiKey(apiKey, apiKeyId, rest = {}) {
    const problems = [];
    if (typeof apiKey !== "string" || apiKey === "") {
      problems.push(wrongValue("apiKey", apiKey, "must be a non-empty string"));
    } else if (apiKey !== apiKey.trim()) {
      // A file or a variable often ends a secret with a line end, and the server would only refuse it.
      problems.push(wrongValue("apiKey", apiKey, "must not begin or end with white space"));
    }
    if (typeof apiKeyId !== "string") {
      problems.push(wrongValue("apiKeyId", apiKeyId, "must be a string"));
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
  },
};
