import { concatenate } from "../bytes.ts";
import { MAX_HEADER_LIST_BYTES } from "../limits.ts";
import { FRAME_HEADER_BYTES, type FrameRule, type Http2Frame } from "./frame_filter.ts";

const HEADERS = 0x01, CONTINUATION = 0x09;
const END_STREAM = 0x01, END_HEADERS = 0x04, PADDED = 0x08, PRIORITY = 0x20;

/** Bytes of a dependency and a weight in front of a header block. */
const PRIORITY_BYTES = 5;

/** Bytes of a field besides its value (RFC 9113, section 6.5.2), with a name of the usual length. */
const ENTRY_BYTES = 32 + 16;

/** Shortest value that is left out, in bytes. */
const MIN_LONG_BYTES = 1_024;

/** Codes of 5 to 30 bits in the Huffman code, which is canonical (RFC 7541, appendix B). */
const CODES = [10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4];

/** Longest block that is looked into, in bytes. */
const MAX_BLOCK_BYTES = 4 * 1024 * 1024;

/** Largest frame that every peer takes, without its header (RFC 9113, section 4.2). */
const MAX_FRAME_BYTES = 16_384;

/**
 * Replaces values of header fields that would end the connection, so that they cost their own call alone. grpc-go behind
 * net/http, as in a Viam machine, sends texts of errors of any length, whatever its client announces to take.
 */
export class LongFields implements FrameRule {
  /** The frame that a block begins with. */
  #first: Http2Frame | undefined;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  /** Blocks that one frame holds have no such values. */
  wants(type: number, flags: number): boolean {
    return (type === HEADERS && (flags & END_HEADERS) === 0) ||
      (type === CONTINUATION && this.#first !== undefined);
  }

  replace(frame: Http2Frame): readonly Uint8Array[] {
    if (frame.type === HEADERS) this.#first = frame;
    const part = frame.type === HEADERS ? fragmentOf(frame) : frame.bytes.subarray(FRAME_HEADER_BYTES);
    this.#parts.push(part);
    this.#bytes += part.length;
    const isWhole = (frame.flags & END_HEADERS) !== 0;
    if (!isWhole && this.#bytes <= MAX_BLOCK_BYTES) return [];
    const block = concatenate(this.#parts);
    const frames = framesOf(this.#first!, shortened(block) ?? block, isWhole);
    this.#first = undefined;
    this.#parts = [];
    this.#bytes = 0;
    return frames;
  }
}

/** The part of a header block in a HEADERS frame. */
function fragmentOf({ flags, bytes }: Http2Frame): Uint8Array {
  const padding = (flags & PADDED) === 0 ? 0 : bytes[FRAME_HEADER_BYTES]!;
  const start = FRAME_HEADER_BYTES + ((flags & PADDED) === 0 ? 0 : 1) +
    ((flags & PRIORITY) === 0 ? 0 : PRIORITY_BYTES);
  return bytes.subarray(start, bytes.length - padding);
}

/** Cuts a block into frames of the stream of the first one. */
function framesOf(first: Http2Frame, block: Uint8Array, isWhole: boolean): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < block.length; at += MAX_FRAME_BYTES) {
    const part = block.subarray(at, at + MAX_FRAME_BYTES);
    const isLast = isWhole && at + MAX_FRAME_BYTES >= block.length;
    const frame = new Uint8Array(FRAME_HEADER_BYTES + part.length);
    frame.set(first.bytes.subarray(0, FRAME_HEADER_BYTES));
    new DataView(frame.buffer).setUint32(0, part.length << 8 | (at === 0 ? HEADERS : CONTINUATION));
    frame[4] = (at === 0 ? first.flags & END_STREAM : 0) | (isLast ? END_HEADERS : 0);
    frame.set(part, FRAME_HEADER_BYTES);
    frames.push(frame);
  }
  return frames;
}

/**
 * Replaces the long values of a block for which the list has no room (RFC 7541, section 6), but none that the decoder
 * remembers, whose table would notice. Undefined where there are none. With more than the list takes, the runtime ends the
 * call; it ends the connection, too, at a value of over 65,536 bytes as they are sent (Node, Deno), at such a block, or at
 * such a field once it is decoded (Bun).
 */
function shortened(block: Uint8Array): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let from = 0, at = 0, room = MAX_HEADER_LIST_BYTES;

  function integer(prefixBits: number): number {
    const most = (1 << prefixBits) - 1;
    let value = block[at++]! & most;
    if (value < most) return value;
    for (let shift = 1;; shift *= 128) {
      const byte = block[at++];
      if (byte === undefined || shift > 2 ** 28) return Infinity;
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  }

  /** Returns the length of the string as it is sent, or decoded, where that is longer. */
  function skipString(): number {
    const isHuffman = (block[at]! & 0x80) !== 0;
    const bytes = integer(7), start = at;
    at += bytes;
    return isHuffman ? Math.max(bytes, decodedBytes(block.subarray(start, at))) : bytes;
  }

  while (at < block.length) {
    const kind = block[at]!;
    const isIndexed = (kind & 0x80) !== 0, isTableSize = (kind & 0xe0) === 0x20;
    const isRemembered = (kind & 0xc0) === 0x40;
    const name = integer(isIndexed ? 7 : isTableSize ? 5 : isRemembered ? 6 : 4);
    room -= ENTRY_BYTES;
    if (isIndexed || isTableSize) continue;
    if (name === 0) skipString();
    const value = at;
    const bytes = skipString();
    if (at > block.length) return undefined;
    if (isRemembered || bytes < MIN_LONG_BYTES || bytes <= room) {
      room -= bytes;
      continue;
    }
    parts.push(block.subarray(from, value), stringOf(`a value of ${bytes} bytes was left out`));
    from = at;
  }
  return parts.length === 0 ? undefined : concatenate([...parts, block.subarray(from)]);
}

/** The length of a string in Huffman code, decoded. */
function decodedBytes(huffman: Uint8Array): number {
  let bytes = 0;
  /** The bits of a code so far, and what they are beyond the last code of as many bits. */
  let bits = 0, beyond = 0;
  for (const byte of huffman) {
    for (let bit = 7; bit >= 0; bit--) {
      beyond = beyond * 2 + (byte >> bit & 1);
      const codes = CODES[++bits - 5] ?? 0;
      if (beyond >= codes) beyond -= codes;
      else {
        bytes++;
        bits = beyond = 0;
      }
    }
  }
  return bytes;
}

/** A short string without Huffman code (RFC 7541, section 5.2). */
function stringOf(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return concatenate([Uint8Array.of(bytes.length), bytes]);
}
