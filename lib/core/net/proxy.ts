import { comparable, isLinkLocal, isLoopback, joinHostPort, parseAddress } from "./address.ts";
import { parseIp, sharePrefix } from "./ip.ts";
import type { Target } from "./target.ts";

/** A proxy to connect through. */
export interface Proxy {
  /** "socks5" resolves names here, "socks5h" lets the proxy do it. */
  readonly scheme: "http" | "https" | "socks5" | "socks5h";
  /** Without brackets. */
  readonly hostname: string;
  readonly port: number;
  /** Decoded. Undefined if the URL has no user part. */
  readonly username?: string;
  readonly password?: string;
  /** Certificate authorities that it may have as well as the public ones, PEM. */
  readonly ca?: readonly string[];
}

/** The ports of RFC 9110, and of RFC 1928. */
const DEFAULT_PORTS: Readonly<Record<Proxy["scheme"], number>> = {
  http: 80,
  https: 443,
  socks5: 1080,
  socks5h: 1080,
};

/** Longest user name and password of SOCKS5, in bytes (RFC 1929, section 2). */
const MAX_SOCKS_BYTES = 255;

/** Parses the URL of a proxy. Without a scheme it is an HTTP proxy, as for curl and Go. No problem quotes the text. */
export function parseProxy(text: string): Proxy | { readonly problem: string } {
  const [, schemeTyped = "http", userTyped, authority] =
    /^(?:([A-Za-z][A-Za-z0-9+.-]*):\/\/)?(?:(.*)@)?([^@]*?)\/?$/s.exec(text)!;
  const scheme = schemeTyped.toLowerCase() as Proxy["scheme"];
  if (!Object.hasOwn(DEFAULT_PORTS, scheme)) {
    return { problem: "must be a URL that begins with http://, https://, socks5:// or socks5h://" };
  }
  const address = parseAddress(authority!);
  if ("problem" in address || address.unixPath !== undefined) {
    return { problem: "must name the host of the proxy, and no path" };
  }
  const proxy = { scheme, hostname: address.hostname, port: address.port ?? DEFAULT_PORTS[scheme] };
  if (userTyped === undefined) return proxy;
  const colon = userTyped.indexOf(":");
  const username = decode(colon < 0 ? userTyped : userTyped.slice(0, colon));
  const password = colon < 0 ? "" : decode(userTyped.slice(colon + 1));
  const lengths = [username, password].map((part) => new TextEncoder().encode(part).length);
  if (scheme.startsWith("socks") && Math.max(...lengths) > MAX_SOCKS_BYTES) {
    return { problem: `must have a user name and a password of at most ${MAX_SOCKS_BYTES} bytes` };
  }
  return { ...proxy, username, password };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a percent sign that stands for itself
  }
}

/** The URL of a proxy, without its user and password. */
export function describeProxy({ scheme, hostname, port }: Proxy): string {
  return `${scheme}://${joinHostPort(hostname, port)}`;
}

/** The variables that name proxies. Of two spellings the small one counts, as for curl. */
export const PROXY_VARIABLES = [
  "https_proxy",
  "HTTPS_PROXY",
  "http_proxy",
  "HTTP_PROXY",
  "all_proxy",
  "ALL_PROXY",
  "no_proxy",
  "NO_PROXY",
] as const;

/** A variable that CGI programs have. There HTTP_PROXY is the header `Proxy` of a client, and no proxy. */
export const CGI_VARIABLE = "REQUEST_METHOD";

/** The values of such variables; those that are not set, or may not be read, are left out. */
export type ProxyVariables = {
  readonly [name in (typeof PROXY_VARIABLES)[number] | typeof CGI_VARIABLE]?: string | undefined;
};

/** The URL of a chosen proxy, without its user and password; undefined where there is none that can be used. */
export function describeChosen(chosen: ChosenProxy | undefined): string | undefined {
  return chosen === undefined || "problem" in chosen.proxy ? undefined : describeProxy(chosen.proxy);
}

/** The proxy for a target, and where it is named: the option, or a variable of the environment. */
export interface ChosenProxy {
  readonly proxy: Proxy | { readonly problem: string };
  readonly namedBy: string;
}

/**
 * Chooses the proxy for a connection over TCP. With TLS it is that of HTTPS_PROXY, without that of HTTP_PROXY, and
 * ALL_PROXY for both. What can only be reached from here is never reached through a proxy: this computer, addresses of
 * one link, `.local` names and Unix sockets.
 *
 * @param setting The option `proxy`.
 */
export function chooseProxy(
  target: Target,
  setting: string,
  variables: ProxyVariables,
): ChosenProxy | undefined {
  if (setting === "none" || isOnlyFromHere(target)) return undefined;
  if (setting !== "environment") return { proxy: parseProxy(setting), namedBy: "the option proxy" };
  if (isExcepted(target, variables.no_proxy || variables.NO_PROXY || "")) return undefined;
  const names: (keyof ProxyVariables)[] = target.secure ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy"];
  if (!target.secure && variables.REQUEST_METHOD === undefined) names.push("HTTP_PROXY");
  names.push("all_proxy", "ALL_PROXY");
  // An empty variable stands for none.
  const namedBy = names.find((name) => (variables[name] ?? "").trim() !== "");
  return namedBy === undefined ? undefined : { proxy: parseProxy(variables[namedBy]!.trim()), namedBy };
}

function isOnlyFromHere({ hostname, unixPath }: Target): boolean {
  const name = comparable(hostname);
  return unixPath !== undefined || isLoopback(name) || name.endsWith(".local") || isLinkLocal(name);
}

/** True if the list of `NO_PROXY` names a target: by host, suffix, address, block of addresses, or `*` for all. */
function isExcepted({ hostname, port }: Target, list: string): boolean {
  const name = comparable(hostname);
  const address = parseIp(name);
  return list.split(/[\s,]+/).filter((entry) => entry !== "").some((entry) => {
    if (entry === "*") return true;
    const block = /^\[?([^\]/]+)\]?\/(\d{1,3})$/.exec(entry);
    if (block !== null) {
      const base = parseIp(block[1]!);
      const bits = Number(block[2]);
      return address !== undefined && base !== undefined && bits <= (base.version === 4 ? 32 : 128) &&
        sharePrefix(address, base, bits);
    }
    const [, host, portTyped] = splitPort(entry);
    if (portTyped !== undefined && Number(portTyped) !== port) return false;
    const named = comparable(host!).replace(/^\*?\./, "");
    const literal = parseIp(named);
    if (literal !== undefined || address !== undefined) {
      return literal !== undefined && address !== undefined && literal.version === address.version &&
        literal.value === address.value;
    }
    return named !== "" && (name === named || name.endsWith(`.${named}`));
  });
}

/** Splits `host:port`; an IPv6 address without brackets has no port. */
function splitPort(entry: string): RegExpExecArray {
  return /^\[([^\]]*)\](?::(\d+))?$/.exec(entry) ?? /^([^:]*):(\d+)$/.exec(entry) ?? /^(.*)$/.exec(entry)!;
}
