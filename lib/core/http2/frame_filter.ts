/** The side whose data is filtered. */
export type Http2Side = "client" | "server";

/** A frame that is filtered (RFC 9113, section 4.1). */
export interface Http2Frame {
  readonly type: number;
  readonly flags: number;
  /** The whole frame, header and payload. */
  readonly bytes: Uint8Array;
}

/** Replaces some frames by others. */
export interface FrameRule {
  /** True for the frames that it replaces. */
  wants(type: number, flags: number): boolean;
  /** Returns the data to pass on in place of a frame, in order. */
  replace(frame: Http2Frame): readonly Uint8Array[];
}

/** Size of the connection preface, with which a client starts, in bytes. */
const PREFACE_BYTES = 24;

/** Size of a frame's header, in bytes. */
export const FRAME_HEADER_BYTES = 9;

/**
 * Replaces frames in what one side of an HTTP/2 connection sends, however it is cut into chunks. Everything else passes
 * unchanged, without a copy where possible.
 */
export class Http2FrameFilter {
  readonly #rules: readonly FrameRule[];
  /** Bytes that pass unread: of the preface, or of the payload of a frame of another type. */
  #passing: number;
  /** The part of a header, or of a filtered frame, that has arrived. */
  #held: Uint8Array = new Uint8Array(FRAME_HEADER_BYTES);
  #heldBytes = 0;

  /** @param from The sender. */
  constructor(from: Http2Side, ...rules: FrameRule[]) {
    this.#passing = from === "client" ? PREFACE_BYTES : 0;
    this.#rules = rules;
  }

  /** @returns The data to pass on, in order. */
  push(chunk: Uint8Array): Uint8Array[] {
    const passed: Uint8Array[] = [];
    let at = 0;
    /** The start of the data that passes unread. */
    let from = 0;
    while (at < chunk.length) {
      if (this.#passing > 0) {
        const step = Math.min(this.#passing, chunk.length - at);
        this.#passing -= step;
        at += step;
        continue;
      }
      const whole = this.#heldBytes === 0 && chunk.length - at >= FRAME_HEADER_BYTES;
      if (whole && this.#ruleFor(chunk, at) === undefined) {
        this.#passing = FRAME_HEADER_BYTES + payloadBytes(chunk, at);
        continue;
      }
      // A partial header, or a frame to filter: it is held until it is whole.
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
    const rule = this.#ruleFor(held, 0);
    if (rule === undefined) {
      passed.push(held);
      this.#passing = payloadBytes(held, 0);
    } else if (held.length === FRAME_HEADER_BYTES && payloadBytes(held, 0) > 0) {
      this.#held = new Uint8Array(FRAME_HEADER_BYTES + payloadBytes(held, 0));
      this.#held.set(held);
      return from + part.length;
    } else {
      passed.push(...rule.replace({ type: held[3]!, flags: held[4]!, bytes: held }));
    }
    this.#held = new Uint8Array(FRAME_HEADER_BYTES);
    this.#heldBytes = 0;
    return from + part.length;
  }

  #ruleFor(bytes: Uint8Array, frame: number): FrameRule | undefined {
    for (const rule of this.#rules) if (rule.wants(bytes[frame + 3]!, bytes[frame + 4]!)) return rule;
    return undefined;
  }
}

function payloadBytes(bytes: Uint8Array, frame: number): number {
  return (bytes[frame]! << 16) | (bytes[frame + 1]! << 8) | bytes[frame + 2]!;
}
