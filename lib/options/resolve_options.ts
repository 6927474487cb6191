import type { Interceptor } from "@connectrpc/connect";
import { type Address, type AddressProblem, parseAddress } from "../core/net/address.ts";
import { parseIceUrl } from "../core/ice/ice.ts";
import { MAX_TIMER_MS } from "../core/limits.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import { type OptionProblem, optionProblem } from "./option_problem.ts";
import {
  type Group,
  isBoolean,
  isEither,
  isFunction,
  isIntegerFrom,
  isListOf,
  isMilliseconds,
  isOneOf,
  isText,
  type Reader,
  readMembers,
} from "./option_reader.ts";
import { hideSecrets } from "./option_redaction.ts";
import { type Credentials, hidePayload } from "./credentials.ts";
import type { DialEvent } from "../events.ts";
import { DialOptionsError } from "./options_error.ts";
import { LOGGER, type Logger, quietLogger } from "../logger.ts";
import type { DialOptions, ExternalAuth, TlsOptions, WebrtcOptions } from "./options.ts";

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
  /** How messages on direct connections are compressed. */
  readonly compression: "none" | "gzip";
  /** Looks for the machine on the local network. */
  readonly mdns: boolean;
  /** Settings of WebRTC. */
  readonly webrtc: WebrtcOptions;
  /** The signaling server, where one is given. */
  readonly signalingAddress: Address | undefined;
  /** Connect interceptors, for every call. */
  readonly interceptors: readonly Interceptor[];
  /** Metadata of every call, as pairs of name and value. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** What a slow reader of one stream may hold, in bytes. */
  readonly maxBufferedBytes: number;
  /** Interval of HTTP/2 pings, in milliseconds; 0 for none. */
  readonly keepAliveMs: number;
  /** Where the channel logs: every level is there, and none throws. */
  readonly logger: Required<Logger>;
  /** Told what happens during the dial and later. */
  readonly onEvent: ((event: DialEvent) => void) | undefined;
}

const readAborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, "aborted")?.get;

const isSignal: Reader = (value) => {
  if (!(value instanceof AbortSignal)) return { problem: "is no AbortSignal" };
  readAborted?.call(value); // throws unless it is one, and not only looks like it
  return { value };
};

/** What a header can hold: a runtime that refuses it would put all of it into its error. */
const isToken: Reader = (value) => {
  const text = isText(value);
  if ("problem" in text || /^[\t\x20-\x7e]*$/.test((value as string).trim())) return text;
  return { problem: "has a character that no header can hold" };
};

const isAddress: Reader = (value) => {
  if (typeof value !== "string") return { problem: "is no string" };
  const parsed = parseAddress(value);
  return "problem" in parsed ? parsed : { value };
};

/** Most metadata that is taken in; an iterator may go on for ever. */
const MAX_HEADERS = 1_000;

/** Kept as pairs: a `Headers` could be changed by whoever has it. */
const isHeaders: Reader = (value) => {
  if (typeof value !== "object" || value === null) return { problem: "is no HeadersInit" };
  const metadata = new Metadata();
  let count = 0;
  const pairs = Symbol.iterator in value ? value as Iterable<unknown> : Object.entries(value);
  for (const pair of pairs) {
    if (++count > MAX_HEADERS) return { problem: `has more than ${MAX_HEADERS} entries` };
    const [name, text] = Array.isArray(pair) && pair.length === 2 ? pair : [];
    if (typeof name !== "string") return { problem: "is no HeadersInit: it has an entry that is no pair" };
    const place = `has an entry ${JSON.stringify(name.slice(0, 100))}`;
    if (typeof text !== "string") return { problem: `${place} whose value is no string` };
    try {
      metadata.append(name, text);
    } catch {
      return { problem: `${place} that HTTP does not allow` };
    }
  }
  const lists = value instanceof Headers ? Metadata.from(value) : metadata;
  const kept = Array.from(
    lists.lists(),
    ([name, values]) => values.map((text) => Object.freeze([name, text])),
  );
  return { value: Object.freeze(kept.flat()) };
};

const isIceServer: Reader = (value) => {
  if (typeof value !== "object" || value === null) return { problem: "is no object with urls" };
  const { urls, username, credential } = value as Record<string, unknown>;
  const list = typeof urls === "string" ? { value: [urls] } : isListOf(isText)(urls);
  if ("problem" in list) return { problem: "has no urls" };
  const texts = list.value as string[];
  if (texts.length === 0) return { problem: "has no urls" };
  if (texts.some((url) => parseIceUrl(url) === undefined)) {
    return { problem: "has a URL that is no stun:, turn: or turns: URL" };
  }
  if (username !== undefined && typeof username !== "string") {
    return { problem: "has a username that is no string" };
  }
  if (credential !== undefined && typeof credential !== "string") {
    return { problem: "has a credential that is no string" };
  }
  const kept = {
    urls: Object.freeze(texts),
    ...(username === undefined ? {} : { username }),
    ...(credential === undefined ? {} : { credential }),
  };
  return { value: Object.freeze(hideSecrets(kept, { credential: true })) };
};

const isTurnUrl: Reader = (value) => {
  const parsed = typeof value === "string" ? parseIceUrl(value) : undefined;
  return parsed === undefined || parsed.scheme === "stun"
    ? { problem: "is no turn: or turns: URL" }
    : { value };
};

/** The logger itself is the user's; its methods are looked up for each line, since loggers swap them. */
const isLogger: Reader = (value) => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) {
    return { problem: "is no object" };
  }
  for (const level of ["debug", "info", "warn", "error"] as const) {
    const method = (value as Logger)[level];
    if (method !== undefined && typeof method !== "function") {
      return { problem: `has a member "${level}" that is no function` };
    }
  }
  return { value: quietLogger(value) };
};

const OPTIONS: Group["members"] = {
  disableWebrtc: isBoolean,
  authEntity: isText,
  credentials: { members: { type: isText, payload: isText }, required: ["type", "payload"] },
  accessToken: isToken,
  externalAuth: {
    members: { address: isAddress, toEntity: isText, insecure: isBoolean },
    required: ["address", "toEntity"],
  },
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
  compression: isOneOf("none", "gzip"),
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
  logger: isLogger,
  onEvent: isFunction,
};

/** Members of resolved options that an inspection does not show. */
const HIDDEN = {
  credentials: { payload: true },
  accessToken: true,
  tls: { key: true },
  headers: true,
  webrtc: { iceServers: { credential: true } },
} as const;

/** What a dial is made of. */
export interface ResolvedDial {
  /** The address as it was given, for messages. */
  readonly given: string;
  /** The address, taken apart. */
  readonly address: Address;
  /** The options with their defaults. */
  readonly options: ResolvedDialOptions;
}

/**
 * Checks options and fills in the defaults. Every member is read once; the caller's object is not changed, and what
 * is done to it later does not matter. The result is frozen, and whatever is in it that can be.
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
  const { values, problems } = readOptions(options);
  if (problems.length > 0) throw new DialOptionsError(problems);
  return complete(values);
}

/**
 * Checks the address and the options of a dial, each by itself and against each other.
 *
 * @throws {DialOptionsError} that lists everything that is wrong with either
 */
export function resolveDial(address: string | URL, options: DialOptions = {}): ResolvedDial {
  const { values, problems } = readOptions(options);
  const { given, parsed } = readAddress(address);
  if ("option" in parsed) problems.unshift(parsed);
  else problems.push(...schemeContradictions(parsed, values));
  if (problems.length > 0 || "option" in parsed) throw new DialOptionsError(problems);
  return Object.freeze({ given, address: parsed, options: complete(values) });
}

/** Members that can be used, and all that cannot. */
interface ReadOptions {
  readonly values: DialOptions;
  readonly problems: OptionProblem[];
}

function readOptions(options: DialOptions): ReadOptions {
  const { values, problems } = readMembers(options, { members: OPTIONS });
  return { values, problems: [...problems, ...contradictions(values, problems)] };
}

function complete(options: DialOptions): ResolvedDialOptions {
  const { timeoutMs = 20_000, keepAliveMs = 20_000 } = options;
  const { credentials, externalAuth, webrtc = {} } = options;
  return Object.freeze(hideSecrets({
    disableWebrtc: options.disableWebrtc ?? false,
    authEntity: options.authEntity,
    credentials: credentials === undefined ? undefined : hidePayload(credentials),
    accessToken: options.accessToken,
    externalAuth: externalAuth === undefined
      ? undefined
      : Object.freeze({ ...externalAuth, parsed: parsedAddress(externalAuth.address) }),
    insecure: options.insecure ?? false,
    allowInsecureDowngrade: options.allowInsecureDowngrade ?? false,
    allowInsecureWithCredsDowngrade: options.allowInsecureWithCredsDowngrade ?? false,
    maxReconnectAttempts: options.maxReconnectAttempts ?? 3,
    initialAttempts: options.initialAttempts ?? 1,
    timeoutMs: timeoutMs === 0 || timeoutMs > MAX_TIMER_MS ? Infinity : timeoutMs,
    signal: options.signal,
    tls: Object.freeze(hideSecrets({ ...options.tls }, HIDDEN.tls)),
    protocol: options.protocol ?? "auto",
    compression: options.compression ?? "none",
    mdns: options.mdns ?? true,
    webrtc: Object.freeze({ ...webrtc }),
    signalingAddress: webrtc.signalingAddress === undefined
      ? undefined
      : parsedAddress(webrtc.signalingAddress),
    interceptors: options.interceptors ?? Object.freeze([]),
    // Read into pairs above.
    headers: (options.headers ?? Object.freeze([])) as ResolvedDialOptions["headers"],
    maxBufferedBytes: options.maxBufferedBytes ?? 64 * 1024 * 1024,
    keepAliveMs: keepAliveMs > MAX_TIMER_MS ? 0 : keepAliveMs,
    // Made whole above.
    logger: (options.logger ?? quietLogger(LOGGER)) as Required<Logger>,
    onEvent: options.onEvent,
  }, HIDDEN));
}

/** An address that has been checked. */
function parsedAddress(address: string): Address {
  return Object.freeze(parseAddress(address) as Address);
}

/** The address as text, and what it says or what is wrong with it. */
interface ReadAddress {
  readonly given: string;
  readonly parsed: Address | OptionProblem;
}

function readAddress(address: string | URL): ReadAddress {
  let given: unknown = address;
  try {
    if (typeof address !== "string") given = address instanceof URL ? address.href : undefined;
  } catch {
    given = undefined; // it only looked like a URL
  }
  if (typeof given !== "string") {
    return { given: "", parsed: optionProblem("address", address, "is neither a string nor a URL") };
  }
  const parsed: Address | AddressProblem = parseAddress(given);
  return {
    given,
    parsed: "problem" in parsed ? optionProblem("address", given, parsed.problem) : Object.freeze(parsed),
  };
}

/** An address with a scheme says whether there is TLS; the options must not say the opposite. */
function schemeContradictions(address: Address, options: DialOptions): OptionProblem[] {
  const { scheme } = address;
  const problem = (why: string): OptionProblem => ({
    option: "address",
    value: `${scheme}://${address.authority}`,
    message: `address: ${scheme}://${address.authority} asks for ${
      scheme === "https" ? "" : "no "
    }TLS, ${why}`,
  });
  if (scheme === "https" && options.insecure === true) return [problem("and insecure forbids it")];
  if (scheme === "http" && options.insecure === false) return [problem("and insecure: false asks for it")];
  if (scheme === "http" && options.tls !== undefined && !usesTlsElsewhere(options)) {
    return [problem("so that there is nothing that tls could set")];
  }
  return [];
}

/** Whether a signaling or authentication server is reached with TLS though the machine is not. */
function usesTlsElsewhere({ webrtc, externalAuth }: DialOptions): boolean {
  return webrtc?.signalingInsecure === false || /^https:/i.test(webrtc?.signalingAddress ?? "") ||
    (externalAuth !== undefined && externalAuth.insecure !== true && !/^http:/i.test(externalAuth.address));
}

/** What cannot be combined, and what is missing, among the members that can be used by themselves. */
function contradictions(options: DialOptions, found: readonly OptionProblem[]): OptionProblem[] {
  const problems: OptionProblem[] = [];
  const both = (one: string, other: string, why: string) =>
    problems.push({ option: one, value: "set", message: `${one}: cannot be combined with ${other}; ${why}` });
  const missing = (option: string, why: string) => {
    // What was refused was not forgotten.
    const refused = found.some((problem) =>
      problem.option === option || problem.option.startsWith(`${option}.`)
    );
    if (!refused) problems.push(optionProblem(option, undefined, `is missing: ${why}`));
  };
  const { credentials, externalAuth, webrtc, tls } = options;
  if (credentials?.type === "api-key" && options.authEntity === undefined) {
    missing("authEntity", "with an api-key it is the id of the key");
  }
  if (externalAuth !== undefined && credentials === undefined && options.accessToken === undefined) {
    missing("credentials", "externalAuth exchanges them for a token");
  }
  if (options.accessToken !== undefined && credentials !== undefined) {
    both("accessToken", "credentials", "a token that is there needs none to be fetched");
  }
  if (options.accessToken !== undefined && externalAuth !== undefined) {
    both("accessToken", "externalAuth", "a token that is there needs none to be fetched");
  }
  if (webrtc?.forceRelay === true && webrtc.forceP2P === true) {
    both("webrtc.forceRelay", "webrtc.forceP2P", "no path is left");
  }
  if (webrtc?.forceP2P === true && webrtc.turnUri !== undefined) {
    both("webrtc.turnUri", "webrtc.forceP2P", "no TURN server is used");
  }
  if (tls?.cert !== undefined && tls.key === undefined) missing("tls.key", "it belongs to tls.cert");
  if (tls?.key !== undefined && tls.cert === undefined) missing("tls.cert", "it belongs to tls.key");
  if (
    options.insecure === true && tls !== undefined && Object.keys(tls).length > 0 &&
    !usesTlsElsewhere(options)
  ) {
    both("tls", "insecure", "there is no TLS to set");
  }
  if (webrtc?.signalingInsecure === true && /^https:/i.test(webrtc.signalingAddress ?? "")) {
    both("webrtc.signalingInsecure", "webrtc.signalingAddress", "its https asks for TLS");
  }
  if (webrtc?.signalingInsecure === false && /^http:/i.test(webrtc.signalingAddress ?? "")) {
    both("webrtc.signalingInsecure", "webrtc.signalingAddress", "its http asks for no TLS");
  }
  if (externalAuth?.insecure === false && /^http:/i.test(externalAuth.address)) {
    both("externalAuth.insecure", "externalAuth.address", "its http asks for no TLS");
  }
  if (externalAuth?.insecure === true && /^https:/i.test(externalAuth.address)) {
    both("externalAuth.insecure", "externalAuth.address", "its https asks for TLS");
  }
  return problems;
}
