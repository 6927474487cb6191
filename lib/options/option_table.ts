import { Metadata } from "../core/grpc/metadata.ts";
import { parseIceUrl } from "../core/ice/ice.ts";
import { parseAddress } from "../core/net/address.ts";
import { parseProxy } from "../core/net/proxy.ts";
import { type Logger, quietLogger } from "../logger.ts";
import {
  type Group,
  isBoolean,
  isCount,
  isFunction,
  isInteger,
  isListOf,
  isMilliseconds,
  isOneOf,
  isText,
  isTextOrTexts,
  type Reader,
} from "./reader.ts";
import { hideSecrets } from "./redaction.ts";

const isSignal: Reader = (value) =>
  value instanceof AbortSignal ? { value } : { problem: "must be an AbortSignal" };

/** A runtime that refuses a header puts all of it into its error, so a token is checked here. */
const isToken: Reader = (value) => {
  const text = isText(value);
  if ("problem" in text || /^[\t\x20-\x7e]*$/.test((value as string).trim())) return text;
  return { problem: "must consist of characters that a header can hold" };
};

const isAddress: Reader = (value) => {
  if (typeof value !== "string") return { problem: "must be a string" };
  const parsed = parseAddress(value);
  return "problem" in parsed ? parsed : { value };
};

/** Keeps pairs: the caller could change a `Headers`. */
const isHeaders: Reader = (value) => {
  if (typeof value !== "object" || value === null) return { problem: "must be a HeadersInit" };
  const metadata = value instanceof Headers ? Metadata.from(value) : new Metadata();
  const pairs = value instanceof Headers
    ? []
    : Symbol.iterator in value
    ? value as Iterable<unknown>
    : Object.entries(value);
  for (const pair of pairs) {
    const [name, text] = Array.isArray(pair) && pair.length === 2 ? pair : [];
    if (typeof name !== "string") return { problem: "must hold pairs of a name and a value", got: pair };
    const at = `[${JSON.stringify(name)}]`;
    if (typeof text !== "string") return { problem: "must be a string", at, got: text };
    try {
      metadata.append(name, text);
    } catch {
      return { problem: "must have a name and a value that HTTP allows", at, got: text };
    }
  }
  const kept = Array.from(
    metadata.lists(),
    ([name, values]) => values.map((text) => Object.freeze([name, text])),
  );
  return { value: Object.freeze(kept.flat()) };
};

const isProxy: Reader = (value) => {
  if (typeof value !== "string") return { problem: 'must be a URL, "environment" or "none"' };
  if (value === "environment" || value === "none") return { value };
  // A bare name is more likely a slip than a host.
  if (!value.includes("://")) {
    return { problem: 'must be a URL such as http://host:port, "environment" or "none"' };
  }
  const parsed = parseProxy(value);
  return "problem" in parsed ? parsed : { value };
};

const isIceUrl: Reader = (value) =>
  typeof value === "string" && parseIceUrl(value) !== undefined
    ? { value }
    : { problem: "must be a stun:, turn: or turns: URL" };

const isTurnUrl: Reader = (value) => {
  const parsed = typeof value === "string" ? parseIceUrl(value) : undefined;
  return parsed === undefined || parsed.scheme === "stun"
    ? { problem: "must be a turn: or turns: URL" }
    : { value };
};

const isIceServer: Reader = (value) => {
  if (typeof value !== "object" || value === null) return { problem: "must be an object with urls" };
  const { urls: given, ...rest } = value as Record<string, unknown>;
  const urls = isListOf(isIceUrl)(typeof given === "string" ? [given] : given);
  if ("problem" in urls) return { got: given, ...urls, at: `.urls${urls.at ?? ""}` };
  if ((urls.value as unknown[]).length === 0) return { problem: "must have a URL", at: ".urls", got: given };
  const kept: Record<string, unknown> = { urls: urls.value };
  for (const member of ["username", "credential"]) {
    const text = rest[member];
    if (text === undefined) continue;
    if (typeof text !== "string") return { problem: "must be a string", at: `.${member}`, got: text };
    kept[member] = text;
  }
  return { value: Object.freeze(hideSecrets(kept, { credential: true })) };
};

const isMethodPath: Reader = (value) =>
  typeof value === "string" && /^\/[\w.]+\/\w+$/.test(value)
    ? { value }
    : { problem: "must be a path such as /package.Service/Method" };

const isLogger: Reader = (value) => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) {
    return { problem: "must be an object" };
  }
  for (const level of ["debug", "info", "warn", "error"] as const) {
    const method = (value as Logger)[level];
    if (method !== undefined && typeof method !== "function") {
      return { problem: "must be a function", at: `.${level}`, got: method };
    }
  }
  return { value: quietLogger(value) };
};

/** The check of each option. */
export const OPTIONS: Group = {
  members: {
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
    maxReconnectAttempts: isCount,
    initialAttempts: isInteger(1),
    timeoutMs: isMilliseconds,
    signal: isSignal,
    tls: {
      members: {
        ca: isTextOrTexts,
        cert: isText,
        key: isText,
        serverName: isText,
        rejectUnauthorized: isBoolean,
        minVersion: isOneOf("TLSv1.2", "TLSv1.3"),
      },
    },
    protocol: isOneOf("auto", "grpc", "grpc-web"),
    compression: isOneOf("none", "gzip"),
    proxy: isProxy,
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
        turnPort: isInteger(1, 65_535),
        turnTransport: isOneOf("udp", "tcp"),
        separateBulk: isBoolean,
      },
    },
    session: { members: { methods: isListOf(isMethodPath) }, orBoolean: true },
    interceptors: isListOf(isFunction),
    headers: isHeaders,
    maxBufferedBytes: isInteger(1),
    keepAliveMs: isMilliseconds,
    logger: isLogger,
    onEvent: isFunction,
  },
};
