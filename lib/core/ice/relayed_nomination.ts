/*
 * Nomination of a path through a relay, as its messages show it (RFC 8656 §10, RFC 8445 §7.2.5.3.4): checks of the
 * engine's leave in Send indications, which nothing signs; the checks are signed with the machine's ICE password.
 */

const HEADER_BYTES = 20;
const SEND_INDICATION = 0x0016;
const BINDING_REQUEST = 0x0001;
const MAGIC_COOKIE = 0x2112a442;

const MESSAGE_INTEGRITY = 0x0008;
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
  if (message.length < HEADER_BYTES || typeOf(message) !== SEND_INDICATION) return undefined;
  let xorPeer: Uint8Array | undefined, request: Uint8Array | undefined;
  for (const { name, value } of attributesOf(message)) {
    if (name === XOR_PEER_ADDRESS) xorPeer ??= value;
    else if (name === DATA) request ??= value;
  }
  if (xorPeer === undefined || xorPeer.length !== 8 || xorPeer[1] !== 1) return undefined;
  if (request === undefined || request.length < HEADER_BYTES || typeOf(request) !== BINDING_REQUEST) {
    return undefined;
  }
  const view = new DataView(xorPeer.buffer, xorPeer.byteOffset);
  const port = view.getUint16(2) ^ MAGIC_COOKIE >>> 16, address = view.getUint32(4) ^ MAGIC_COOKIE;
  const host = [24, 16, 8, 0].map((shift) => address >>> shift & 0xff).join(".");
  return { peer: `${host}:${port}`, xorPeer: xorPeer.slice(), request: request.slice() };
}

/**
 * Makes the message to the relay that repeats a check and nominates its pair.
 *
 * @param transaction 12 bytes of chance, so that the engine does not take the answer for one to its own check.
 * @param sign HMAC-SHA1 with the machine's ICE password.
 */
export function nominatingMessage(
  { xorPeer, request }: RelayedCheck,
  transaction: Uint8Array,
  sign: (bytes: Uint8Array) => Uint8Array,
): Uint8Array {
  const kept: Uint8Array[] = [];
  for (const { name, value } of attributesOf(request)) {
    if (name === MESSAGE_INTEGRITY) break;
    if (name !== USE_CANDIDATE) kept.push(attribute(name, value));
  }
  kept.push(attribute(USE_CANDIDATE, new Uint8Array(0)));
  const integrity = 4 + SIGNATURE_BYTES, fingerprint = 4 + 4;
  const unsigned = message(BINDING_REQUEST, transaction, kept, integrity);
  const signed = [...kept, attribute(MESSAGE_INTEGRITY, sign(unsigned))];
  const mark = (crc32(message(BINDING_REQUEST, transaction, signed, fingerprint)) ^ FINGERPRINT_MASK) >>> 0;
  const marked = [
    ...signed,
    attribute(FINGERPRINT, Uint8Array.of(mark >>> 24, mark >>> 16, mark >>> 8, mark)),
  ];
  const check = message(BINDING_REQUEST, transaction, marked);
  const parts = [attribute(XOR_PEER_ADDRESS, xorPeer), attribute(DATA, check)];
  return message(SEND_INDICATION, transaction, parts);
}

function typeOf(message: Uint8Array): number {
  return message[0]! << 8 | message[1]!;
}

function* attributesOf(
  message: Uint8Array,
): Generator<{ readonly name: number; readonly value: Uint8Array }> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const end = Math.min(message.length, HEADER_BYTES + view.getUint16(2));
  for (let at = HEADER_BYTES; at + 4 <= end;) {
    const length = view.getUint16(at + 2);
    if (at + 4 + length > end) return;
    yield { name: view.getUint16(at), value: message.subarray(at + 4, at + 4 + length) };
    at += 4 + (length + 3 & ~3);
  }
}

/** @param following Bytes that the length counts and that are not there yet. */
function message(
  type: number,
  transaction: Uint8Array,
  attributes: readonly Uint8Array[],
  following = 0,
): Uint8Array {
  const length = attributes.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(HEADER_BYTES + length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type);
  view.setUint16(2, length + following);
  view.setUint32(4, MAGIC_COOKIE);
  bytes.set(transaction, 8);
  let at = HEADER_BYTES;
  for (const part of attributes) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function attribute(name: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + (value.length + 3 & ~3));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, name);
  view.setUint16(2, value.length);
  bytes.set(value, 4);
  return bytes;
}

/** The CRC-32 of ITU V.42, of which the fingerprint is made (RFC 8489 §14.7). */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc >>> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
