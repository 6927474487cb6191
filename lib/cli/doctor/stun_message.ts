import { createHash, createHmac } from "node:crypto";
import { joinHostPort } from "../../core/net/address.ts";

/*
 * STUN and TURN messages (RFC 8489, RFC 8656), as far as needed to ask a server whether it answers and would relay.
 */

/** Kinds of messages. */
export const BINDING = 0x0001;
export const ALLOCATE = 0x0003;
export const REFRESH = 0x0004;
const SUCCESS = 0x0100;
const ERROR = 0x0110;

const COOKIE = 0x2112a442;
const HEADER_BYTES = 20;

const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const ERROR_CODE = 0x0009;
const LIFETIME = 0x000d;
const REALM = 0x0014;
const NONCE = 0x0015;
const XOR_RELAYED_ADDRESS = 0x0016;
const REQUESTED_TRANSPORT = 0x0019;
const XOR_MAPPED_ADDRESS = 0x0020;
const UDP = 17;

/** The credentials of a request. */
export interface StunIdentity {
  readonly username: string;
  readonly password: string;
  readonly realm: string;
  readonly nonce: string;
}

/** A request. */
export interface StunRequest {
  readonly method: number;
  /** 12 bytes. */
  readonly transaction: Uint8Array;
  readonly identity?: StunIdentity;
  /** The lifetime of a relay address, in seconds; 0 returns it. */
  readonly lifetime?: number;
}

/** An answer. */
export interface StunAnswer {
  readonly method: number;
  readonly transaction: Uint8Array;
  /** Undefined when the request was granted. */
  readonly error: { readonly code: number; readonly reason: string } | undefined;
  /** The source of the request as the server saw it, `host:port`. */
  readonly mapped: string | undefined;
  readonly relayed: string | undefined;
  readonly realm: string | undefined;
  readonly nonce: string | undefined;
}

/** Encodes a request. */
export function encodeStun({ method, transaction, identity, lifetime }: StunRequest): Uint8Array {
  const attributes: Uint8Array[] = [];
  const text = new TextEncoder();
  if (method === ALLOCATE) attributes.push(attribute(REQUESTED_TRANSPORT, Uint8Array.of(UDP, 0, 0, 0)));
  if (lifetime !== undefined) attributes.push(attribute(LIFETIME, uint32(lifetime)));
  if (identity === undefined) return message(method, transaction, attributes, 0);
  const { username, password, realm, nonce } = identity;
  attributes.push(
    attribute(USERNAME, text.encode(username)),
    attribute(REALM, text.encode(realm)),
    attribute(NONCE, text.encode(nonce)),
  );
  // The signed length includes the signature.
  const signed = message(method, transaction, attributes, 24);
  const key = createHash("md5").update(`${username}:${realm}:${password}`).digest();
  const signature = createHmac("sha1", key).update(signed).digest();
  return message(method, transaction, [...attributes, attribute(MESSAGE_INTEGRITY, signature)], 0);
}

/** Parses an answer; returns undefined if it is not one. */
export function decodeStun(bytes: Uint8Array): StunAnswer | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = view.getUint16(0);
  const kind = type & 0x0110;
  if (view.getUint32(4) !== COOKIE || (kind !== SUCCESS && kind !== ERROR)) return undefined;
  const end = HEADER_BYTES + view.getUint16(2);
  if (end > bytes.length) return undefined;
  const values = new Map<number, Uint8Array>();
  for (let at = HEADER_BYTES; at + 4 <= end;) {
    const length = view.getUint16(at + 2);
    if (at + 4 + length > end) return undefined;
    const name = view.getUint16(at);
    if (!values.has(name)) values.set(name, bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length + (-length & 3);
  }
  const transaction = bytes.slice(8, HEADER_BYTES);
  const textOf = (name: number) => {
    const value = values.get(name);
    return value === undefined ? undefined : new TextDecoder().decode(value);
  };
  const code = values.get(ERROR_CODE);
  return {
    method: type & ~0x0110,
    transaction,
    error: kind === SUCCESS ? undefined : {
      code: code === undefined || code.length < 4 ? 0 : (code[2]! & 7) * 100 + code[3]!,
      reason: code === undefined ? "" : new TextDecoder().decode(code.subarray(4)),
    },
    mapped: addressOf(values.get(XOR_MAPPED_ADDRESS), transaction),
    relayed: addressOf(values.get(XOR_RELAYED_ADDRESS), transaction),
    realm: textOf(REALM),
    nonce: textOf(NONCE),
  };
}

function message(
  method: number,
  transaction: Uint8Array,
  attributes: readonly Uint8Array[],
  extra: number,
): Uint8Array {
  const length = attributes.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(HEADER_BYTES + length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, method);
  view.setUint16(2, length + extra);
  view.setUint32(4, COOKIE);
  bytes.set(transaction, 8);
  let at = HEADER_BYTES;
  for (const part of attributes) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function attribute(name: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + value.length + (-value.length & 3));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, name);
  view.setUint16(2, value.length);
  bytes.set(value, 4);
  return bytes;
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** Decodes an address that is XORed with the cookie and the transaction (RFC 8489 §14.2). */
function addressOf(value: Uint8Array | undefined, transaction: Uint8Array): string | undefined {
  if (value === undefined || (value.length !== 8 && value.length !== 20)) return undefined;
  const mask = new Uint8Array(16);
  new DataView(mask.buffer).setUint32(0, COOKIE);
  mask.set(transaction, 4);
  const port = ((value[2]! ^ mask[0]!) << 8) | (value[3]! ^ mask[1]!);
  const address = value.subarray(4).map((byte, index) => byte ^ mask[index]!);
  if (address.length === 4) return joinHostPort(address.join("."), port);
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((address[2 * index]! << 8) | address[2 * index + 1]!).toString(16),
  );
  return joinHostPort(groups.join(":"), port);
}
