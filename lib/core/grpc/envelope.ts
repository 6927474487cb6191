/*
 * The frame that gRPC and gRPC-Web put around a message on HTTP: one byte of flags, four of length, big-endian.
 */

/** Flag of a compressed message. */
export const COMPRESSED = 0x01;
/** Flag of gRPC-Web's trailers frame. */
export const TRAILERS = 0x80;

/** Makes the memory of frames; every byte is overwritten. */
export type Allocate = (bytes: number) => Uint8Array<ArrayBuffer>;

const newBytes: Allocate = (bytes) => new Uint8Array(bytes);

/** Encodes a message in its frame. */
export function encodeEnvelope(
  message: Uint8Array,
  flags = 0,
  allocate: Allocate = newBytes,
): Uint8Array<ArrayBuffer> {
  const frame = encodeEnvelopes([message], allocate);
  frame[0] = flags;
  return frame;
}

/** Encodes several messages, each in its frame. */
export function encodeEnvelopes(
  messages: readonly Uint8Array[],
  allocate: Allocate = newBytes,
): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const message of messages) size += 5 + message.length;
  const frames = allocate(size);
  let at = 0;
  for (const message of messages) {
    frames[at] = 0;
    writeLength(frames, message.length, at);
    frames.set(message, at + 5);
    at += 5 + message.length;
  }
  return frames;
}

/**
 * Reads an uncompressed body of one message and trailers: the answer to a unary call as every server writes it. Returns
 * undefined for anything else, which `EnvelopeReader` handles.
 */
export function readSingleAnswer(
  body: Uint8Array,
  maxMessageBytes: number,
): { readonly message: Uint8Array; readonly trailersAt: number } | undefined {
  if (body.length < 10 || body[0] !== 0) return undefined;
  const length = readLength(body, 0);
  const at = 5 + length;
  if (length > maxMessageBytes || at + 5 > body.length || body[at] !== TRAILERS) return undefined;
  if (at + 5 + readLength(body, at) !== body.length) return undefined;
  return { message: body.subarray(5, at), trailersAt: at + 5 };
}

function readLength(bytes: Uint8Array, frame: number): number {
  return bytes[frame + 1]! * 0x1000000 + (bytes[frame + 2]! << 16) + (bytes[frame + 3]! << 8) +
    bytes[frame + 4]!;
}

function writeLength(bytes: Uint8Array, length: number, frame: number): void {
  bytes[frame + 1] = length >>> 24;
  bytes[frame + 2] = length >>> 16;
  bytes[frame + 3] = length >>> 8;
  bytes[frame + 4] = length;
}

/** A frame whose announced length exceeds the limit. */
export interface OversizedEnvelope {
  readonly oversized: number;
}

/**
 * Splits a body into frames, however it is cut into chunks. A frame within one chunk is a view of it; a frame that spans
 * several is assembled once.
 */
export class EnvelopeReader {
  readonly #maxMessageBytes: number;
  /** A header that is cut into chunks. */
  #header: Uint8Array | undefined;
  #headerBytes = 0;
  #flags = 0;
  /** The frame that is being assembled. */
  #data: Uint8Array | undefined;
  #dataBytes = 0;

  /** @param maxMessageBytes Largest accepted message, in bytes. */
  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** True if the body may end here, outside a frame. */
  get atBoundary(): boolean {
    return this.#headerBytes === 0;
  }

  /**
   * Takes a chunk, and passes on each frame that it completes, in order.
   *
   * @param onEnvelope Returns false to stop.
   * @returns The problem, as soon as a frame announces too much; the reader is unusable after that.
   */
  push(
    chunk: Uint8Array,
    onEnvelope: (flags: number, data: Uint8Array) => boolean,
  ): OversizedEnvelope | undefined {
    let at = 0;
    while (at < chunk.length || this.#data?.length === 0) {
      if (this.#data !== undefined) {
        const wanted = this.#data.length - this.#dataBytes;
        const part = chunk.subarray(at, at + wanted);
        this.#data.set(part, this.#dataBytes);
        this.#dataBytes += part.length;
        at += part.length;
        if (part.length < wanted) return undefined;
        const data = this.#data;
        this.#data = undefined;
        this.#headerBytes = 0;
        if (!onEnvelope(this.#flags, data)) return undefined;
        continue;
      }
      let header = chunk, from = at;
      if (this.#headerBytes === 0 && at + 5 <= chunk.length) at += 5;
      else {
        header = this.#header ??= new Uint8Array(5);
        from = 0;
        const part = chunk.subarray(at, at + 5 - this.#headerBytes);
        header.set(part, this.#headerBytes);
        this.#headerBytes += part.length;
        at += part.length;
        if (this.#headerBytes < 5) return undefined;
      }
      this.#flags = header[from]!;
      const length = readLength(header, from);
      if (length > this.#maxMessageBytes) return { oversized: length };
      if (at + length <= chunk.length) {
        this.#headerBytes = 0;
        const data = chunk.subarray(at, at + length);
        at += length;
        if (!onEnvelope(this.#flags, data)) return undefined;
      } else {
        this.#headerBytes = 5;
        this.#data = new Uint8Array(length);
        this.#dataBytes = 0;
      }
    }
    return undefined;
  }
}
