import { isLoopback, joinHostPort } from "../net/address.ts";

/** The source of an address: an interface, a STUN server, a check, or a TURN server. */
export type CandidateType = "host" | "srflx" | "prflx" | "relay";

/** A transport address that a peer offers, or one end of the path that a connection has chosen. */
export interface Candidate {
  /** IPv4, IPv6 without brackets, or a name. */
  readonly address: string;
  /** From 0 to 65535. */
  readonly port: number;
  /** The source of the address. */
  readonly type: CandidateType;
  /** The transport. */
  readonly protocol: "udp" | "tcp";
}

/** Both ends of the path in use. */
export interface CandidatePair {
  /** Of this computer. */
  readonly local: Candidate;
  /** Of the other end. */
  readonly remote: Candidate;
}

/** True if both ends are on this computer. */
export function isLocalPair({ local, remote }: CandidatePair): boolean {
  return isLoopback(remote.address) || remote.address === local.address;
}

const TYPES: readonly string[] = ["host", "srflx", "prflx", "relay"] satisfies CandidateType[];

/** True if this is one of the four types. */
export function isCandidateType(type: string): type is CandidateType {
  return TYPES.includes(type);
}

/** Parses `candidate:…` (RFC 8839 §5.1); returns undefined for anything else. */
export function parseCandidate(line: string): Candidate | undefined {
  const parts = /^candidate:\S+ \d+ (udp|tcp) \d+ (\S+) (\d+) typ (\S+)/i.exec(line);
  if (parts === null) return undefined;
  const type = parts[4]!.toLowerCase(), protocol = parts[1]!.toLowerCase();
  if (!isCandidateType(type)) return undefined;
  return { address: parts[2]!, port: Number(parts[3]), type, protocol: protocol === "udp" ? "udp" : "tcp" };
}

/** Formats a candidate: `host udp 192.0.2.1:5000`. */
export function describeCandidate({ type, protocol, address, port }: Candidate): string {
  return `${type} ${protocol} ${joinHostPort(address, port)}`;
}

/**
 * Returns the multicast DNS name that hides the address of a host candidate (draft-ietf-mmusic-mdns-ice-candidates);
 * undefined if it has an address.
 */
export function hiddenName(line: string): string | undefined {
  const candidate = parseCandidate(line);
  if (candidate?.type !== "host") return undefined;
  return /^[^.]+\.local$/i.test(candidate.address) ? candidate.address : undefined;
}

/** Replaces the name of a candidate by its address. */
export function withAddress(line: string, name: string, address: string): string {
  return line.replace(` ${name} `, ` ${address} `);
}
