import { concatenate } from "../bytes.ts";
import {
  attributeOf,
  ERROR_CODE,
  errorCodeOf,
  MAGIC_COOKIE,
  STUN_HEADER_BYTES,
  stunAttribute,
  stunMessage,
  stunType,
  transactionOf,
  XOR_RELAYED_ADDRESS,
  xorAddress,
} from "./stun.ts";

/*
 * TURN messages on a stream (RFC 8656 §3.1, §12.5; RFC 8489 §6). Over UDP each is a datagram. Over TCP and TLS they
 * follow each other, are separated by their lengths, and ChannelData is padded to a multiple of four bytes.
 */

const CHANNEL_HEADER_BYTES = 4;

const ALLOCATE_REQUEST = 0x0003;
const ALLOCATE_SUCCESS = 0x0103;
const ALLOCATE_ERROR = 0x0113;

const TRY_ALTERNATE = 300;
const SERVER_ERROR = 500;

/** The meaning of a message, as far as the bridge needs it. */
export type TurnMessage =
  /** Data between the peers. */
  | { readonly kind: "data" }
  /** A request for a relay address. */
  | { readonly kind: "allocate" }
  /** A relay address, `host:port`. */
  | { readonly kind: "allocated"; readonly relayAddress: string | undefined }
  /** A redirect to another server. */
  | { readonly kind: "tryAlternate" }
  /** Any other STUN message. */
  | { readonly kind: "other" };

/** Bytes on a stream are not TURN. */
export class TurnFramingError extends Error {
  override readonly name = "TurnFramingError";
}

/** Classifies a message. Returns undefined for bytes that are neither STUN nor ChannelData, or are cut short. */
export function readTurnMessage(message: Uint8Array): TurnMessage | undefined {
  const length = lengthOf(message, 0);
  if (length === undefined || length === 0 || message.length < length) return undefined;
  if (isChannelData(message[0]!)) return { kind: "data" };
  switch (stunType(message)) {
    case ALLOCATE_REQUEST:
      return { kind: "allocate" };
    case ALLOCATE_SUCCESS:
      return { kind: "allocated", relayAddress: relayAddressOf(message) };
    case ALLOCATE_ERROR:
      return errorCodeOf(message) === TRY_ALTERNATE ? { kind: "tryAlternate" } : { kind: "other" };
    default:
      return { kind: "other" };
  }
}

/** Converts a datagram for the stream; returns undefined if it is not a TURN message. */
export function toStream(datagram: Uint8Array): Uint8Array | undefined {
  if (datagram.length === 0) return undefined;
  const length = lengthOf(datagram, 0);
  if (length === undefined || length === 0 || datagram.length < length) return undefined;
  const padded = isChannelData(datagram[0]!) ? pad(length) : length;
  if (padded <= datagram.length) return datagram.subarray(0, padded);
  const framed = new Uint8Array(padded);
  framed.set(datagram);
  return framed;
}

/** Splits a stream into messages. */
export class TurnStreamReader {
  #rest: Uint8Array = new Uint8Array(0);

  /** Bytes of the incomplete message; never more than the largest message. */
  get buffered(): number {
    return this.#rest.length;
  }

  /**
   * Takes the next bytes, and returns the messages that they complete, without padding.
   *
   * @throws {TurnFramingError} when the bytes are not TURN; nothing after them can be read
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = this.#rest.length === 0 ? chunk : concatenate([this.#rest, chunk]);
    const messages: Uint8Array[] = [];
    let at = 0;
    while (at < bytes.length) {
      const length = lengthOf(bytes, at);
      if (length === undefined) {
        throw new TurnFramingError(`0x${bytes[at]!.toString(16).padStart(2, "0")} begins no TURN message`);
      }
      const onStream = isChannelData(bytes[at]!) ? pad(length) : length;
      if (length === 0 || bytes.length - at < onStream) break;
      messages.push(bytes.subarray(at, at + length));
      at += onStream;
    }
    // A copy, so that the rest does not keep a large chunk.
    this.#rest = bytes.slice(at);
    return messages;
  }
}

/**
 * Makes the error answer to an Allocate request that a server without relays would send. The engine then gives up the
 * server at once; without an answer it asks for 23 seconds. Returns undefined for any other message.
 *
 * @param message The request, or an error answer to one, which the result replaces.
 */
export function refuseAllocate(message: Uint8Array): Uint8Array | undefined {
  if (message.length < STUN_HEADER_BYTES) return undefined;
  const type = stunType(message);
  if (type !== ALLOCATE_REQUEST && type !== ALLOCATE_ERROR) return undefined;
  const reason = new TextEncoder().encode("no way to server");
  const value = Uint8Array.of(0, 0, Math.floor(SERVER_ERROR / 100), SERVER_ERROR % 100, ...reason);
  return stunMessage(ALLOCATE_ERROR, transactionOf(message), [stunAttribute(ERROR_CODE, value)]);
}

/** True for ChannelData: channel numbers are 0x4000 to 0x4fff, and STUN messages begin with two zero bits. */
function isChannelData(first: number): boolean {
  return first >> 4 === 4;
}

/** Returns the length without padding; 0 if more bytes are needed, and undefined if this is not a TURN message. */
function lengthOf(bytes: Uint8Array, at: number): number | undefined {
  const first = bytes[at];
  if (first === undefined || (first >> 6 > 0 && !isChannelData(first))) return undefined;
  if (bytes.length - at < CHANNEL_HEADER_BYTES) return 0;
  const field = uint16(bytes, at + 2);
  if (isChannelData(first)) return CHANNEL_HEADER_BYTES + field;
  // STUN attributes are padded: a length that is not a multiple of four is invalid.
  if (field % 4 !== 0) return undefined;
  if (bytes.length - at < 8) return 0;
  const cookie = uint16(bytes, at + 4) * 0x10000 + uint16(bytes, at + 6);
  return cookie === MAGIC_COOKIE ? STUN_HEADER_BYTES + field : undefined;
}

function pad(length: number): number {
  return (length + 3) & ~3;
}

function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!;
}

/** Returns `host:port`; IPv4 only, which is what the engine asks for. */
function relayAddressOf(message: Uint8Array): string | undefined {
  const value = attributeOf(message, XOR_RELAYED_ADDRESS);
  return value?.length === 8 ? xorAddress(value, transactionOf(message)) : undefined;
}
