import type { Interceptor } from "@connectrpc/connect";
import { type Address, type AddressProblem, parseAddress } from "./core/address.ts";
import { parseIceUrl } from "./core/ice.ts";
import { Metadata } from "./core/metadata.ts";
import {
  type Check,
  checkMembers,
  type Checks,
  hasOptionalMethods,
  isBoolean,
  isEither,
  isFunction,
  isIntegerFrom,
  isListOf,
  isMilliseconds,
  isOneOf,
  isText,
} from "./core/option_check.ts";
import { type OptionProblem, optionProblem } from "./core/option_problem.ts";
import type { DialEvent } from "./events.ts";
import { DialOptionsError } from "./errors.ts";
import { LOGGER, type Logger } from "./logger.ts";
import type { DialOptions, ExternalAuth, TlsOptions, WebrtcOptions } from "./options.ts";
import type { Credentials } from "./credentials.ts";

/** Options with nothing left open, frozen. */
export interface ResolvedDialOptions {
  /** Dials directly, whatever the address. */
  readonly disableWebrtc: boolean;
  /** Who authenticates; undefined for the host of the address. */
  readonly authEntity: string | undefined;
  /** What is exchanged for a token. */
  readonly credentials: Credentials | undefined;
  /** A token to use as it is. */
  readonly accessToken: string | undefined;
  /** Where else to authenticate, with its address taken apart. */
  readonly externalAuth: (ExternalAuth & { readonly parsed: Address }) | undefined;
  /** No TLS. */
  readonly insecure: boolean;
  /** Goes on without TLS, and without credentials, if the server has none. */
  readonly allowInsecureDowngrade: boolean;
  /** Goes on without TLS, and sends credentials in the clear. */
  readonly allowInsecureWithCredsDowngrade: boolean;
  /** Attempts to get a lost connection back, an outage. */
  readonly maxReconnectAttempts: number;
  /** How often the whole dial is tried. */
  readonly initialAttempts: number;
  /** `Infinity` for no bound. */
  readonly timeoutMs: number;
  /** Aborts the dial, and later reconnects. */
  readonly signal: AbortSignal | undefined;
  /** Settings of TLS. */
  readonly tls: TlsOptions;
  /** What to speak on direct connections. */
  readonly protocol: "auto" | "grpc" | "grpc-web";
  /** Looks for the machine on the local network. */
  readonly mdns: boolean;
  /** Settings of WebRTC. */
  readonly webrtc: WebrtcOptions;
  /** The signaling server, where one is given. */
  readonly signalingAddress: Address | undefined;
  /** Connect interceptors, for every call. */
  readonly interceptors: readonly Interceptor[];
  /** Metadata of every call. */
  readonly headers: Metadata;
  /** What a slow reader of one stream may hold, in bytes. */
  readonly maxBufferedBytes: number;
  /** Interval of HTTP/2 pings, in milliseconds; 0 for none. */
  readonly keepAliveMs: number;
  /** Where the channel logs. */
  readonly logger: Logger;
  /** Told what happens during the dial and later. */
  readonly onEvent: ((event: DialEvent) => void) | undefined;
}

const isSignal: Check = (value) => value instanceof AbortSignal ? undefined : "is no AbortSignal";

const isAddress: Check = (value) => {
  if (typeof value !== "string") return "is no string";
  const parsed = parseAddress(value);
  return "problem" in parsed ? parsed.problem : undefined;
};

const isHeaders: Check = (value) => {
  if (typeof value !== "object" || value === null) return "is no HeadersInit";
  try {
    new Metadata(value as HeadersInit);
    return undefined;
  } catch {
    return "is no HeadersInit";
  }
};

const isIceServer: Check = (value) => {
  if (typeof value !== "object" || value === null) return "is no object with urls";
  const { urls, username, credential } = value as Record<string, unknown>;
  const list = typeof urls === "string" ? [urls] : urls;
  if (!Array.isArray(list) || list.length === 0) return "has no urls";
  const wrong = list.find((url) => typeof url !== "string" || parseIceUrl(url) === undefined);
  if (wrong !== undefined) return `has a URL that is no stun:, turn: or turns: URL`;
  if (username !== undefined && typeof username !== "string") return "has a username that is no string";
  if (credential !== undefined && typeof credential !== "string") return "has a credential that is no string";
  return undefined;
};

const isTurnUrl: Check = (value) => {
  const parsed = typeof value === "string" ? parseIceUrl(value) : undefined;
  return parsed === undefined || parsed.scheme === "stun" ? "is no turn: or turns: URL" : undefined;
};

const CHECKS: Checks = {
  disableWebrtc: isBoolean,
  authEntity: isText,
  credentials: { members: { type: isText, payload: isText } },
  accessToken: isText,
  externalAuth: { members: { address: isAddress, toEntity: isText, insecure: isBoolean } },
  insecure: isBoolean,
  allowInsecureDowngrade: isBoolean,
  allowInsecureWithCredsDowngrade: isBoolean,
  maxReconnectAttempts: isIntegerFrom(0),
  initialAttempts: isIntegerFrom(1),
  timeoutMs: isMilliseconds,
  signal: isSignal,
  tls: {
    members: {
      ca: isEither(isText, isListOf(isText)),
      cert: isText,
      key: isText,
      serverName: isText,
      rejectUnauthorized: isBoolean,
      minVersion: isOneOf("TLSv1.2", "TLSv1.3"),
    },
  },
  protocol: isOneOf("auto", "grpc", "grpc-web"),
  mdns: isBoolean,
  webrtc: {
    members: {
      signalingAddress: isAddress,
      signalingInsecure: isBoolean,
      iceServers: isListOf(isIceServer),
      forceRelay: isBoolean,
      forceP2P: isBoolean,
      turnUri: isTurnUrl,
      turnScheme: isOneOf("turn", "turns"),
      turnPort: isIntegerFrom(1, 65_535),
      turnTransport: isOneOf("udp", "tcp"),
    },
  },
  interceptors: isListOf(isFunction),
  headers: isHeaders,
  maxBufferedBytes: isIntegerFrom(1),
  keepAliveMs: isMilliseconds,
  logger: hasOptionalMethods("debug", "info", "warn", "error"),
  onEvent: isFunction,
};

/**
 * Checks options and fills in the defaults. The caller's object is not changed; the result is frozen and total.
 *
 * @throws {DialOptionsError} that lists everything that is wrong
 */
export function resolveDialOptions(options: DialOptions = {}): ResolvedDialOptions {
  const problems = checkMembers(options, CHECKS);
  if (problems.length === 0) problems.push(...contradictions(options));
  if (problems.length > 0) throw new DialOptionsError(problems);
  const timeoutMs = options.timeoutMs ?? 20_000;
  const { credentials, externalAuth } = options;
  return Object.freeze({
    disableWebrtc: options.disableWebrtc ?? false,
    authEntity: options.authEntity,
    credentials: credentials === undefined ? undefined : Object.freeze({ ...credentials }),
    accessToken: options.accessToken,
    externalAuth: externalAuth === undefined
      ? undefined
      : Object.freeze({ ...externalAuth, parsed: parseAddress(externalAuth.address) as Address }),
    insecure: options.insecure ?? false,
    allowInsecureDowngrade: options.allowInsecureDowngrade ?? false,
    allowInsecureWithCredsDowngrade: options.allowInsecureWithCredsDowngrade ?? false,
    maxReconnectAttempts: options.maxReconnectAttempts ?? 3,
    initialAttempts: options.initialAttempts ?? 1,
    timeoutMs: timeoutMs === 0 ? Infinity : timeoutMs,
    signal: options.signal,
    tls: Object.freeze({ ...options.tls }),
    protocol: options.protocol ?? "auto",
    mdns: options.mdns ?? true,
    webrtc: Object.freeze({ ...options.webrtc }),
    signalingAddress: options.webrtc?.signalingAddress === undefined
      ? undefined
      : parseAddress(options.webrtc.signalingAddress) as Address,
    interceptors: Object.freeze([...options.interceptors ?? []]),
    headers: new Metadata(options.headers),
    maxBufferedBytes: options.maxBufferedBytes ?? 64 * 1024 * 1024,
    keepAliveMs: options.keepAliveMs ?? 20_000,
    logger: options.logger ?? LOGGER,
    onEvent: options.onEvent,
  });
}

/**
 * Reads the address of a dial, and holds it against the options.
 *
 * @throws {DialOptionsError}
 */
export function resolveAddress(address: string | URL, options: ResolvedDialOptions): Address {
  let parsed: Address | AddressProblem;
  if (address instanceof URL) parsed = parseAddress(address.href);
  else if (typeof address === "string") parsed = parseAddress(address);
  else throw new DialOptionsError([optionProblem("address", address, "is neither a string nor a URL")]);
  if ("problem" in parsed) {
    throw new DialOptionsError([optionProblem("address", withoutUser(String(address)), parsed.problem)]);
  }
  if (parsed.scheme === "https" && options.insecure) {
    throw new DialOptionsError([optionProblem("address", address, "asks for TLS, and insecure forbids it")]);
  }
  return parsed;
}

/** A password typed into a URL is a secret. */
function withoutUser(address: string): string {
  return address.replace(/\/\/[^/@]*@/, "//…@");
}

function contradictions(options: DialOptions): OptionProblem[] {
  const problems: OptionProblem[] = [];
  const both = (one: string, other: string, why: string) =>
    problems.push({ option: one, value: "set", message: `${one}: cannot be combined with ${other}; ${why}` });
  const { credentials, webrtc, tls } = options;
  if (credentials !== undefined) {
    for (const member of ["type", "payload"] as const) {
      if (credentials[member] === undefined) {
        problems.push(optionProblem(`credentials.${member}`, undefined, "is missing"));
      }
    }
    if (credentials.type === "api-key" && options.authEntity === undefined) {
      problems.push(
        optionProblem("authEntity", undefined, "is missing: with an api-key it is the id of the key"),
      );
    }
  }
  if (options.externalAuth !== undefined) {
    for (const member of ["address", "toEntity"] as const) {
      if (options.externalAuth[member] === undefined) {
        problems.push(optionProblem(`externalAuth.${member}`, undefined, "is missing"));
      }
    }
  }
  if (options.accessToken !== undefined && credentials !== undefined) {
    both("accessToken", "credentials", "a token that is there needs none to be fetched");
  }
  if (options.accessToken !== undefined && options.externalAuth !== undefined) {
    both("accessToken", "externalAuth", "a token that is there needs none to be fetched");
  }
  if (webrtc?.forceRelay === true && webrtc.forceP2P === true) {
    both("webrtc.forceRelay", "webrtc.forceP2P", "no path is left");
  }
  if (webrtc?.forceP2P === true && webrtc.turnUri !== undefined) {
    both("webrtc.turnUri", "webrtc.forceP2P", "no TURN server is used");
  }
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) {
    problems.push(optionProblem(tls?.cert === undefined ? "tls.cert" : "tls.key", undefined, "is missing"));
  }
  if (options.insecure === true && tls !== undefined && Object.keys(tls).length > 0) {
    both("tls", "insecure", "there is no TLS to set");
  }
  if (webrtc?.signalingInsecure === true && /^https:/i.test(webrtc.signalingAddress ?? "")) {
    both("webrtc.signalingInsecure", "webrtc.signalingAddress", "its https asks for TLS");
  }
  return problems;
}
