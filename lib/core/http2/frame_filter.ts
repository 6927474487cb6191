/** Who sends what is filtered. */
export type Http2Side = "client" | "server";

/** A frame that is looked at (RFC 9113, section 4.1). */
export interface Http2Frame {
  readonly type: number;
  readonly flags: number;
  /** The whole frame, header and payload. */
  readonly bytes: Uint8Array;
}

/** Bytes of the connection preface, with which what a client sends begins. */
const PREFACE_BYTES = 24;

/** Bytes of a frame's header. */
export const FRAME_HEADER_BYTES = 9;

/**
 * Looks at the frames of one type in what one side of an HTTP/2 connection sends, however it is cut into chunks, and
 * puts others in their place. All else passes as it comes, uncopied as far as that goes.
 */
export class Http2FrameFilter {
  readonly #type: number;
  readonly #replace: (frame: Http2Frame) => readonly Uint8Array[];
  /** Bytes that pass unseen: of the preface, or of the payload of a frame of another type. */
  #passing: number;
  /** What has come of a header, or of a frame that is looked at. */
  #held: Uint8Array = new Uint8Array(FRAME_HEADER_BYTES);
  #heldBytes = 0;

  /**
   * @param from Who sends.
   * @param type Which frames to look at.
   * @param replace What to pass on in a frame's place, in order.
   */
  constructor(from: Http2Side, type: number, replace: (frame: Http2Frame) => readonly Uint8Array[]) {
    this.#passing = from === "client" ? PREFACE_BYTES : 0;
    this.#type = type;
    this.#replace = replace;
  }

  /** @returns what to pass on, in order. */
  push(chunk: Uint8Array): Uint8Array[] {
    const passed: Uint8Array[] = [];
    let at = 0;
    /** Where what passes unseen begins. */
    let from = 0;
    while (at < chunk.length) {
      if (this.#passing > 0) {
        const step = Math.min(this.#passing, chunk.length - at);
        this.#passing -= step;
        at += step;
        continue;
      }
      const whole = this.#heldBytes === 0 && chunk.length - at >= FRAME_HEADER_BYTES;
      if (whole && chunk[at + 3] !== this.#type) {
        this.#passing = FRAME_HEADER_BYTES + payloadBytes(chunk, at);
        continue;
      }
      // A header in pieces, or a frame to look at: it is held until it is whole.
      if (at > from) passed.push(chunk.subarray(from, at));
      at = this.#hold(chunk, at, passed);
      from = at;
    }
    if (at > from) passed.push(chunk.subarray(from, at));
    return passed;
  }

  #hold(chunk: Uint8Array, from: number, passed: Uint8Array[]): number {
    const part = chunk.subarray(from, from + this.#held.length - this.#heldBytes);
    this.#held.set(part, this.#heldBytes);
    this.#heldBytes += part.length;
    if (this.#heldBytes < this.#held.length) return chunk.length;
    const held = this.#held;
    if (held.length === FRAME_HEADER_BYTES && held[3] !== this.#type) {
      passed.push(held);
      this.#passing = payloadBytes(held, 0);
    } else if (held.length === FRAME_HEADER_BYTES && payloadBytes(held, 0) > 0) {
      this.#held = new Uint8Array(FRAME_HEADER_BYTES + payloadBytes(held, 0));
      this.#held.set(held);
      return from + part.length;
    } else {
      passed.push(...this.#replace({ type: held[3]!, flags: held[4]!, bytes: held }));
    }
    this.#held = new Uint8Array(FRAME_HEADER_BYTES);
    this.#heldBytes = 0;
    return from + part.length;
  }
}

function payloadBytes(bytes: Uint8Array, frame: number): number {
  return (bytes[frame]! << 16) | (bytes[frame + 1]! << 8) | bytes[frame + 2]!;
}
