import { inNetwork, type IpAddress, type Network, parseIp, parseNetwork } from "./ip.ts";

/** A parsed address of a user. */
export interface Address {
  /** The authority as typed, without a scheme: the name of the machine in signaling (protocol §0, `rpc-host`). */
  readonly authority: string;
  /** Without brackets. Empty for a Unix socket. */
  readonly hostname: string;
  /** Undefined when none was typed. */
  readonly port: number | undefined;
  /** Undefined when none was typed. */
  readonly scheme: "http" | "https" | undefined;
  /** Path of a Unix socket. */
  readonly unixPath: string | undefined;
}

/** The problem of an invalid address. */
export interface AddressProblem {
  readonly problem: string;
}

/**
 * Parses `host`, `host:port`, `[v6]:port`, `http(s)://host[:port]`, `unix:/path` and `/path`, which is also a Unix
 * socket. A path, query, fragment or user in a URL is a problem: it would be lost silently.
 */
export function parseAddress(typed: string): Address | AddressProblem {
  if (typed.trim() === "") return { problem: "is empty; give a host, host:port or URL" };
  if (typed !== typed.trim() || /\s/.test(typed)) return { problem: "contains white space" };
  if (typed.startsWith("unix:")) return parseUnix(typed);
  if (typed.startsWith("/")) return parseUnix(`unix:${typed}`);
  const match = /^(?:([A-Za-z][A-Za-z0-9+.-]*):\/\/)?(.*)$/.exec(typed)!;
  const scheme = match[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") {
    return { problem: `has the scheme "${scheme}"; only http, https and unix are known` };
  }
  const authority = scheme === undefined ? match[2]! : match[2]!.replace(/\/$/, "");
  if (/[/?#]/.test(authority)) {
    return { problem: "has a path, query or fragment; give the host and port only" };
  }
  if (authority.includes("@")) return { problem: "has a user part; pass credentials as an option" };
  const parts = /^(\[[^\]]*\]|[^:[\]]*)(?::([^:]*))?$/.exec(authority);
  if (parts === null) {
    return {
      problem: authority.includes("[") || authority.includes("]")
        ? "has misplaced brackets"
        : "has several colons; write an IPv6 address in brackets",
    };
  }
  const host = parts[1]!;
  const hostname = host.startsWith("[") ? host.slice(1, -1) : host;
  if (hostname === "") return { problem: "has no host" };
  if (host.startsWith("[") ? parseIp(hostname)?.version !== 6 : !isHostname(hostname)) {
    return {
      problem: host.startsWith("[") ? "has no valid IPv6 address in brackets" : "has no valid host name",
    };
  }
  let port: number | undefined;
  if (parts[2] !== undefined) {
    if (!/^[0-9]{1,5}$/.test(parts[2])) return { problem: "has a port that is not a number from 1 to 65535" };
    port = Number(parts[2]);
    if (port < 1 || port > 65_535) return { problem: `has the port ${port}; ports go from 1 to 65535` };
  }
  return { authority, hostname, port, scheme: scheme as Address["scheme"], unixPath: undefined };
}

function parseUnix(typed: string): Address | AddressProblem {
  const path = typed.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
  if (!path.startsWith("/")) return { problem: "has no absolute path after unix:" };
  return { authority: typed, hostname: "", port: undefined, scheme: undefined, unixPath: path };
}

function isHostname(text: string): boolean {
  if (text.length > 253) return false;
  const name = text.replace(/\.$/, "");
  // All-numeric names are IPv4 addresses.
  if (/^[0-9.]+$/.test(text)) return parseIp(name) !== undefined;
  return name.split(".").every((label) => /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label));
}

/** A name as it is compared: in small letters, without the dot of the root. */
export function comparable(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** This computer, in addresses of either version. */
const LOOPBACK = ["127.0.0.0/8", "::1/128"].map(parseNetwork);

/** All addresses of a computer, where a server listens; where one connects, loopback. */
const UNSPECIFIED = ["0.0.0.0/32", "::/128"].map(parseNetwork);

/** Addresses that mean another computer on each link (RFC 3927, RFC 4291). */
const LINK_LOCAL = ["169.254.0.0/16", "fe80::/10"].map(parseNetwork);

/** Addresses that mean another computer in each network (RFC 1918, RFC 4193). */
const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"].map(parseNetwork);

/** True if a host is an address in one of these networks. A name that only looks like one is not. */
function isIn(hostname: string, networks: readonly Network[]): boolean {
  const address = addressOf(comparable(hostname));
  return address !== undefined && networks.some((network) => inNetwork(address, network));
}

/** IPv4 addresses, written as IPv6 (RFC 4291). */
const MAPPED = parseNetwork("::ffff:0.0.0.0/96");

/** One to four numbers: the system takes them for an IPv4 address, unless they are too large. */
const NUMBERS = /^(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}$/;

/** Reads an address as the system does: `127.1` and `0x7f.1` are addresses, and IPv4 may be written as IPv6. */
function addressOf(name: string): IpAddress | undefined {
  const url = `http://${name}/`;
  const ip = parseIp(!NUMBERS.test(name) ? name : URL.canParse(url) ? new URL(url).hostname : "");
  return ip !== undefined && inNetwork(ip, MAPPED) ? { version: 4, value: BigInt.asUintN(32, ip.value) } : ip;
}

/** True if a host is a loopback or unspecified address, or a name for one (RFC 6761, section 6.3). */
export function isLoopback(hostname: string): boolean {
  const name = comparable(hostname);
  return name === "localhost" || name.endsWith(".localhost") || isIn(name, [...LOOPBACK, ...UNSPECIFIED]);
}

/** True if other computers can reach a server that listens on an address: an unspecified one means all of them. */
export function isOpenToOthers(hostname: string): boolean {
  return isIn(hostname, UNSPECIFIED) || !isLoopback(hostname);
}

/** True if a host is an address that no router passes on. */
export function isLinkLocal(hostname: string): boolean {
  return isIn(hostname, LINK_LOCAL);
}

/** True if a host is an address of a private network, or a name that only such a network resolves. */
export function isPrivate(hostname: string): boolean {
  return isLoopback(hostname) || hasLabel(comparable(hostname), "local") ||
    isIn(hostname, [...PRIVATE, ...LINK_LOCAL]);
}

/**
 * True if Python's engine would dial a host directly whatever the options: names with the label `localhost`, or with
 * `local` after another label (protocol §2.2; that engine searches the text instead of the labels).
 */
export function isLocalName(hostname: string): boolean {
  const name = comparable(hostname);
  return name.split(".").includes("localhost") || hasLabel(name, "local");
}

function hasLabel(name: string, label: string): boolean {
  return name.split(".").slice(1).includes(label);
}

/** Formats `host:port`, with brackets around IPv6. */
export function joinHostPort(hostname: string, port: number): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
