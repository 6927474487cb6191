import { concatenate } from "../bytes.ts";

/** The result of a packet: a whole message, more to come, or a message over the limit. */
export type Assembled = Uint8Array | "incomplete" | "too-large";

/** Smaller packets are copied: a view costs more than such a packet holds, and keeps its whole frame. */
const SMALL_BYTES = 4_096;

/** Sizes of the blocks that gather small packets: in proportion to the message so far. */
const MIN_BLOCK_BYTES = 4_096, MAX_BLOCK_BYTES = 65_536;

/**
 * Reassembles the messages of one stream from packets. An empty last packet ends the message before it, as in the
 * TypeScript SDK; Go and Rust lose that message (protocol §4.6). It holds memory in proportion to the message, however
 * small the packets are.
 */
export class MessageAssembler {
  #parts: Uint8Array[] = [];
  #size = 0;
  /** Small packets are copied into this; those from `#blockStart` on are not among the parts yet. */
  #block: Uint8Array | undefined;
  #blockStart = 0;
  #blockEnd = 0;
  readonly #maxMessageBytes: number;

  /** @param maxMessageBytes Largest accepted message, in bytes. */
  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Bytes of the incomplete message. */
  get size(): number {
    return this.#size;
  }

  /** Takes the next packet. After "too-large" nothing is held, and the stream must be given up. */
  push(data: Uint8Array, endOfMessage: boolean): Assembled {
    const size = this.#size + data.length;
    if (size > this.#maxMessageBytes) {
      this.#clear();
      return "too-large";
    }
    if (endOfMessage && this.#size === 0) return data;
    this.#hold(data);
    if (!endOfMessage) return "incomplete";
    this.#endBlock();
    const parts = this.#parts;
    this.#clear();
    if (parts.length === 1) return parts[0]!;
    return concatenate(parts);
  }

  #hold(data: Uint8Array): void {
    if (data.length === 0) return;
    this.#size += data.length;
    if (data.length >= SMALL_BYTES) {
      this.#endBlock();
      this.#parts.push(data);
      return;
    }
    if (this.#block === undefined || this.#blockEnd + data.length > this.#block.length) {
      this.#endBlock();
      this.#block = new Uint8Array(Math.min(Math.max(MIN_BLOCK_BYTES, this.#size), MAX_BLOCK_BYTES));
      this.#blockStart = this.#blockEnd = 0;
    }
    this.#block.set(data, this.#blockEnd);
    this.#blockEnd += data.length;
  }

  #endBlock(): void {
    if (this.#block === undefined || this.#blockStart === this.#blockEnd) return;
    this.#parts.push(this.#block.subarray(this.#blockStart, this.#blockEnd));
    this.#blockStart = this.#blockEnd;
  }

  #clear(): void {
    this.#parts = [];
    this.#size = 0;
    this.#block = undefined;
    this.#blockStart = this.#blockEnd = 0;
  }
}
