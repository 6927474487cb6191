import { concatenate } from "../bytes.ts";
import { joinHostPort } from "../net/address.ts";

/*
 * STUN messages, which TURN's are, too (RFC 8489 §5, §14): a header and attributes.
 */

export const STUN_HEADER_BYTES = 20;
export const MAGIC_COOKIE = 0x2112a442;

/** Types of attributes. */
export const MESSAGE_INTEGRITY = 0x0008;
export const ERROR_CODE = 0x0009;
export const XOR_RELAYED_ADDRESS = 0x0016;

/**
 * Makes a message.
 *
 * @param transaction 12 bytes.
 * @param following Bytes that its length counts and that are not there yet: a signature covers its own length.
 */
export function stunMessage(
  type: number,
  transaction: Uint8Array,
  attributes: readonly Uint8Array[],
  following = 0,
): Uint8Array {
  const bytes = concatenate([new Uint8Array(8), transaction, ...attributes]);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type);
  view.setUint16(2, bytes.length - STUN_HEADER_BYTES + following);
  view.setUint32(4, MAGIC_COOKIE);
  return bytes;
}

/** Makes an attribute, padded to a multiple of four bytes. */
export function stunAttribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + value.length + (-value.length & 3));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type);
  view.setUint16(2, value.length);
  bytes.set(value, 4);
  return bytes;
}

/** The type of a message that has a whole header. */
export function stunType(message: Uint8Array): number {
  return message[0]! << 8 | message[1]!;
}

/** The transaction of a message that has a whole header. */
export function transactionOf(message: Uint8Array): Uint8Array {
  return message.slice(8, STUN_HEADER_BYTES);
}

/** Lists the attributes of a message, up to one that is cut short. */
export function* stunAttributes(
  message: Uint8Array,
): Generator<{ readonly type: number; readonly value: Uint8Array }> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const end = Math.min(message.length, STUN_HEADER_BYTES + view.getUint16(2));
  for (let at = STUN_HEADER_BYTES; at + 4 <= end;) {
    const length = view.getUint16(at + 2);
    if (at + 4 + length > end) return;
    yield { type: view.getUint16(at), value: message.subarray(at + 4, at + 4 + length) };
    at += 4 + length + (-length & 3);
  }
}

/** The value of the first attribute of a type. */
export function attributeOf(message: Uint8Array, wanted: number): Uint8Array | undefined {
  return stunAttributes(message).find(({ type }) => type === wanted)?.value;
}

/** The code of an error answer. */
export function errorCodeOf(message: Uint8Array): number | undefined {
  const value = attributeOf(message, ERROR_CODE);
  return value === undefined || value.length < 4 ? undefined : (value[2]! & 7) * 100 + value[3]!;
}

/** Decodes an address that is XORed with the cookie and the transaction, as `host:port` (RFC 8489 §14.2). */
export function xorAddress(value: Uint8Array | undefined, transaction: Uint8Array): string | undefined {
  if (value === undefined || (value.length !== 8 && value.length !== 20)) return undefined;
  const mask = new Uint8Array(16);
  new DataView(mask.buffer).setUint32(0, MAGIC_COOKIE);
  mask.set(transaction, 4);
  const port = ((value[2]! ^ mask[0]!) << 8) | (value[3]! ^ mask[1]!);
  const address = value.subarray(4).map((byte, index) => byte ^ mask[index]!);
  if (address.length === 4) return joinHostPort(address.join("."), port);
  const view = new DataView(address.buffer);
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(2 * index).toString(16));
  return joinHostPort(groups.join(":"), port);
}
