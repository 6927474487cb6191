import { type Address, parseAddress } from "../core/net/address.ts";
import { MAX_TIMER_MS } from "../core/limits.ts";
import type { DialEvent } from "../events.ts";
import { LOGGER, type Logger } from "../logger.ts";
import { findConflicts } from "./conflicts.ts";
import { type Credentials, hidePayload } from "./credentials.ts";
import type { DialOptions, ExternalAuth, SessionOptions } from "./dial_options.ts";
import { OPTIONS } from "./option_table.ts";
import { DialOptionsError } from "./options_error.ts";
import { wrongValue } from "./problem.ts";
import { readMembers } from "./reader.ts";
import { hideSecrets } from "./redaction.ts";

/** Frozen options with every default filled in. Members that are not listed here mean what they mean in `DialOptions`. */
export interface ResolvedDialOptions extends
  Required<
    Omit<
      DialOptions,
      | ("authEntity" | "credentials" | "accessToken" | "signal" | "onEvent")
      | ("externalAuth" | "session" | "headers" | "logger")
    >
  > {
  /** The entity to authenticate as; undefined for the host of the address. */
  readonly authEntity: string | undefined;
  /** The secret that is exchanged for a token. */
  readonly credentials: Credentials | undefined;
  /** A token to use as it is. */
  readonly accessToken: string | undefined;
  /** Another server to authenticate with, and its address, parsed. */
  readonly externalAuth: (ExternalAuth & { readonly parsed: Address }) | undefined;
  /** Aborts the dial, and later reconnects. */
  readonly signal: AbortSignal | undefined;
  /** The signaling server, if one was given. */
  readonly signalingAddress: Address | undefined;
  /** Settings of the session; false for none; undefined for none but that of the official SDK's clients. */
  readonly session: SessionOptions | false | undefined;
  /** Metadata of every call, as pairs of name and value. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Receives log lines: it has every level, and none throws. */
  readonly logger: Required<Logger>;
  /** Called with every event of the dial and of its channel. */
  readonly onEvent: ((event: DialEvent) => void) | undefined;
}

/** Members of resolved options that an inspection hides. */
const HIDDEN = {
  credentials: { payload: true },
  accessToken: true,
  tls: { key: true },
  headers: true,
  webrtc: { iceServers: { credential: true } },
} as const;

const DEFAULTS = {
  disableWebrtc: false,
  authEntity: undefined,
  accessToken: undefined,
  insecure: false,
  allowInsecureDowngrade: false,
  allowInsecureWithCredsDowngrade: false,
  maxReconnectAttempts: 3,
  initialAttempts: 1,
  signal: undefined,
  protocol: "auto",
  compression: "none",
  proxy: "environment",
  mdns: true,
  interceptors: Object.freeze([]),
  maxBufferedBytes: 64 * 1024 * 1024,
  onEvent: undefined,
} as const;

/** A dial's address and options, checked. */
export interface ResolvedDial {
  /** The address as it was given, for messages. */
  readonly given: string;
  /** The address, taken apart. */
  readonly address: Address;
  /** The options with their defaults. */
  readonly options: ResolvedDialOptions;
}

/**
 * Checks options and fills in the defaults. Copies and freezes the result: later changes of the caller's object have
 * no effect.
 *
 * Source: the defaults of Python's `viam.rpc.dial.DialOptions`.
 *
 * @throws {DialOptionsError} that lists everything that is wrong
 *
 * @example
 * ```ts
 * import { resolveDialOptions } from "@viam-dial/dial";
 *
 * const { timeoutMs, insecure } = resolveDialOptions({ timeoutMs: 5_000 });
 * ```
 */
export function resolveDialOptions(options: DialOptions = {}): ResolvedDialOptions {
  const { values, problems } = readMembers(options, OPTIONS);
  problems.push(...findConflicts(undefined, values, problems));
  if (problems.length > 0) throw new DialOptionsError(problems);
  return complete(values);
}

/**
 * Checks the address and the options of a dial, each by itself and against each other.
 *
 * @throws {DialOptionsError} that lists everything that is wrong with either
 */
export function resolveDial(typed: string | URL, options: DialOptions = {}): ResolvedDial {
  const given = typed instanceof URL ? typed.href : typed;
  const parsed = typeof given === "string" ? parseAddress(given) : { problem: "must be a string or a URL" };
  const address = "problem" in parsed ? undefined : Object.freeze(parsed);
  const { values, problems } = readMembers(options, OPTIONS);
  if ("problem" in parsed) problems.unshift(wrongValue("address", given, parsed.problem));
  problems.push(...findConflicts(address, values, problems));
  if (address === undefined || problems.length > 0) throw new DialOptionsError(problems);
  return Object.freeze({ given, address, options: complete(values) });
}

/** Fills in the defaults. */
function complete(options: DialOptions): ResolvedDialOptions {
  const { timeoutMs = 20_000, keepAliveMs = 20_000, credentials, externalAuth, webrtc = {} } = options;
  return Object.freeze(hideSecrets({
    ...DEFAULTS,
    ...options,
    credentials: credentials && hidePayload(credentials),
    externalAuth: externalAuth &&
      Object.freeze({ ...externalAuth, parsed: parseAgain(externalAuth.address) }),
    timeoutMs: timeoutMs === 0 || timeoutMs > MAX_TIMER_MS ? Infinity : timeoutMs,
    tls: Object.freeze(hideSecrets({ ...options.tls }, HIDDEN.tls)),
    webrtc: Object.freeze({ ...webrtc }),
    signalingAddress: webrtc.signalingAddress === undefined ? undefined : parseAgain(webrtc.signalingAddress),
    // A group by the table, or false.
    session: options.session as SessionOptions | false | undefined,
    // Read into pairs by the table.
    headers: (options.headers ?? Object.freeze([])) as ResolvedDialOptions["headers"],
    keepAliveMs: keepAliveMs > MAX_TIMER_MS ? 0 : keepAliveMs,
    // Made whole by the table.
    logger: (options.logger ?? LOGGER) as Required<Logger>,
  }, options.proxy?.includes("://") === true ? { ...HIDDEN, proxy: true } : HIDDEN));
}

/** An address that has been checked. */
function parseAgain(address: string): Address {
  return Object.freeze(parseAddress(address) as Address);
}
