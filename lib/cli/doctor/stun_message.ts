import { createHash, createHmac } from "node:crypto";
import {
  attributeOf,
  ERROR_CODE,
  errorCodeOf,
  MAGIC_COOKIE,
  MESSAGE_INTEGRITY,
  STUN_HEADER_BYTES,
  stunAttribute,
  stunMessage,
  stunType,
  transactionOf,
  XOR_RELAYED_ADDRESS,
  xorAddress,
} from "../../core/ice/stun.ts";

/*
 * STUN and TURN messages (RFC 8489, RFC 8656), as far as needed to ask a server whether it answers and would relay.
 */

/** Kinds of messages. */
export const BINDING = 0x0001;
export const ALLOCATE = 0x0003;
export const REFRESH = 0x0004;
const SUCCESS = 0x0100;
const ERROR = 0x0110;

const USERNAME = 0x0006;
const LIFETIME = 0x000d;
const REALM = 0x0014;
const NONCE = 0x0015;
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
  if (method === ALLOCATE) attributes.push(stunAttribute(REQUESTED_TRANSPORT, Uint8Array.of(UDP, 0, 0, 0)));
  if (lifetime !== undefined) {
    const bytes = [24, 16, 8, 0].map((shift) => lifetime >>> shift);
    attributes.push(stunAttribute(LIFETIME, Uint8Array.from(bytes)));
  }
  if (identity === undefined) return stunMessage(method, transaction, attributes);
  const { username, password, realm, nonce } = identity;
  attributes.push(
    stunAttribute(USERNAME, text.encode(username)),
    stunAttribute(REALM, text.encode(realm)),
    stunAttribute(NONCE, text.encode(nonce)),
  );
  // The signed length includes the signature.
  const signed = stunMessage(method, transaction, attributes, 24);
  const key = createHash("md5").update(`${username}:${realm}:${password}`).digest();
  const signature = createHmac("sha1", key).update(signed).digest();
  return stunMessage(method, transaction, [...attributes, stunAttribute(MESSAGE_INTEGRITY, signature)]);
}

/** Parses an answer; returns undefined if it is not one. */
export function decodeStun(bytes: Uint8Array): StunAnswer | undefined {
  if (bytes.length < STUN_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = stunType(bytes) & 0x0110;
  if (view.getUint32(4) !== MAGIC_COOKIE || (kind !== SUCCESS && kind !== ERROR)) return undefined;
  if (STUN_HEADER_BYTES + view.getUint16(2) > bytes.length) return undefined;
  const transaction = transactionOf(bytes);
  const textOf = (name: number, from = 0) => {
    const value = attributeOf(bytes, name);
    return value === undefined ? undefined : new TextDecoder().decode(value.subarray(from));
  };
  return {
    transaction,
    error: kind === SUCCESS
      ? undefined
      : { code: errorCodeOf(bytes) ?? 0, reason: textOf(ERROR_CODE, 4) ?? "" },
    mapped: xorAddress(attributeOf(bytes, XOR_MAPPED_ADDRESS), transaction),
    relayed: xorAddress(attributeOf(bytes, XOR_RELAYED_ADDRESS), transaction),
    realm: textOf(REALM),
    nonce: textOf(NONCE),
  };
}
