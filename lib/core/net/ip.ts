/** An address of a network interface. */
export interface InterfaceAddress {
  readonly address: string;
  /** Length of its subnet's prefix in bits; undefined if unknown. */
  readonly prefix: number | undefined;
}

/** Assumed length of an unknown prefix, in bits. */
const USUAL_PREFIX = { 4: 24, 6: 64 } as const;

/** An IP address as a number. */
export interface IpAddress {
  readonly version: 4 | 6;
  readonly value: bigint;
}

/** Reads an IPv4 address, or an IPv6 address without brackets; its zone is left out. Undefined for anything else. */
export function parseIp(text: string): IpAddress | undefined {
  const value = text.includes(":") ? parseV6(text.replace(/%.*$/, "")) : parseV4(text);
  return value === undefined ? undefined : { version: text.includes(":") ? 6 : 4, value };
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)) {
    return undefined;
  }
  return parts.reduce((value, part) => value << 8n | BigInt(part), 0n);
}

function parseV6(text: string): bigint | undefined {
  const url = /^[\da-f:.]+$/i.test(text) ? URL.parse(`http://[${text}]/`) : null;
  if (url === null) return undefined;
  const [head, tail = []] = url.hostname.slice(1, -1).split("::").map((half) =>
    half.split(":").filter(Boolean)
  );
  const zeros = Array<string>(8 - head!.length - tail.length).fill("0");
  return [...head!, ...zeros, ...tail].reduce((value, group) => value << 16n | BigInt(`0x${group}`), 0n);
}

/** True if two addresses share their first `bits` bits. */
export function sharePrefix(one: IpAddress, other: IpAddress, bits: number): boolean {
  if (one.version !== other.version) return false;
  const rest = BigInt((one.version === 4 ? 32 : 128) - bits);
  return one.value >> rest === other.value >> rest;
}

/** True if an address is in the subnet of an interface, or so close that a router in between is unlikely. */
export function isNear(address: IpAddress, { address: own, prefix }: InterfaceAddress): boolean {
  const base = parseIp(own);
  if (base === undefined) return false;
  const usual = USUAL_PREFIX[base.version];
  return sharePrefix(address, base, Math.min(prefix ?? usual, usual));
}

/** The addresses that share a prefix. */
export interface Network {
  readonly base: IpAddress;
  /** Length of the prefix in bits. */
  readonly bits: number;
}

/** Reads a network such as `192.0.2.0/24`. */
export function parseNetwork(text: string): Network {
  const [base, bits] = text.split("/");
  return { base: parseIp(base!)!, bits: Number(bits) };
}

/** True if an address is in a network. */
export function inNetwork(address: IpAddress, { base, bits }: Network): boolean {
  return sharePrefix(address, base, bits);
}
