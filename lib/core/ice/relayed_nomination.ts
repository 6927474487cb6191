import {
  attributeOf,
  MESSAGE_INTEGRITY,
  STUN_HEADER_BYTES,
  stunAttribute,
  stunAttributes,
  stunMessage,
  stunType,
  transactionOf,
  xorAddress,
} from "./stun.ts";

/*
 * Nomination of a path through a relay, as its messages show it (RFC 8656 §10, RFC 8445 §7.2.5.3.4): checks of the
 * engine's leave in Send indications, which nothing signs; the checks are signed with the machine's ICE password.
 */

const SEND_INDICATION = 0x0016;
const BINDING_REQUEST = 0x0001;

const XOR_PEER_ADDRESS = 0x0012;
const DATA = 0x0013;
const USE_CANDIDATE = 0x0025;

const SIGNATURE_BYTES = 20;
const FINGERPRINT = 0x8028;
const FINGERPRINT_MASK = 0x5354554e;

/** A check of the engine's on its way to a relay. */
export interface RelayedCheck {
  /** The machine's end of the path, `host:port`. */
  readonly peer: string;
  /** The value of XOR-PEER-ADDRESS. */
  readonly xorPeer: Uint8Array;
  /** The Binding request. */
  readonly request: Uint8Array;
}

/** Reads a check from a message to a relay; returns undefined for any other message. IPv4 only, as relays here are. */
export function readRelayedCheck(message: Uint8Array): RelayedCheck | undefined {
  if (message.length < STUN_HEADER_BYTES || stunType(message) !== SEND_INDICATION) return undefined;
  const xorPeer = attributeOf(message, XOR_PEER_ADDRESS), request = attributeOf(message, DATA);
  if (xorPeer === undefined || xorPeer.length !== 8 || xorPeer[1] !== 1) return undefined;
  if (request === undefined || request.length < STUN_HEADER_BYTES || stunType(request) !== BINDING_REQUEST) {
    return undefined;
  }
  const peer = xorAddress(xorPeer, transactionOf(message))!;
  return { peer, xorPeer: xorPeer.slice(), request: request.slice() };
}

/**
 * Makes the message to the relay that repeats a check and nominates its pair.
 *
 * @param transaction 12 random bytes, so that the engine does not take the answer for one to its own check.
 * @param sign HMAC-SHA1 with the machine's ICE password.
 * @param crc32 The CRC-32 of ITU V.42, of which the fingerprint is made (RFC 8489 §14.7).
 */
export function nominatingMessage(
  { xorPeer, request }: RelayedCheck,
  transaction: Uint8Array,
  sign: (bytes: Uint8Array) => Uint8Array,
  crc32: (bytes: Uint8Array) => number,
): Uint8Array {
  const kept: Uint8Array[] = [];
  for (const { type, value } of stunAttributes(request)) {
    if (type === MESSAGE_INTEGRITY) break;
    if (type !== USE_CANDIDATE) kept.push(stunAttribute(type, value));
  }
  kept.push(stunAttribute(USE_CANDIDATE, new Uint8Array(0)));
  const integrity = 4 + SIGNATURE_BYTES, fingerprint = 4 + 4;
  const unsigned = stunMessage(BINDING_REQUEST, transaction, kept, integrity);
  const signed = [...kept, stunAttribute(MESSAGE_INTEGRITY, sign(unsigned))];
  const mark = crc32(stunMessage(BINDING_REQUEST, transaction, signed, fingerprint)) ^ FINGERPRINT_MASK;
  const value = Uint8Array.of(mark >>> 24, mark >>> 16, mark >>> 8, mark);
  const marked = [...signed, stunAttribute(FINGERPRINT, value)];
  const check = stunMessage(BINDING_REQUEST, transaction, marked);
  const parts = [stunAttribute(XOR_PEER_ADDRESS, xorPeer), stunAttribute(DATA, check)];
  return stunMessage(SEND_INDICATION, transaction, parts);
}
