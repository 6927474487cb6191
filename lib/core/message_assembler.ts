/** What a packet led to: a whole message, more to come, or a message over the limit. */
export type Assembled = Uint8Array | "incomplete" | "too-large";

/**
 * Puts the packets of one stream back together. An empty last packet ends the message before it, as in the
 * TypeScript SDK; Go and Rust lose that message (protocol §4.6).
 */
export class MessageAssembler {
  #parts: Uint8Array[] = [];
  #size = 0;
  readonly #maxMessageBytes: number;

  /** @param maxMessageBytes Largest message put together, in bytes. */
  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Bytes held of a message that is not whole yet. */
  get size(): number {
    return this.#size;
  }

  /** Takes the next packet. After "too-large" nothing is held; the stream has to be given up. */
  push(data: Uint8Array, endOfMessage: boolean): Assembled {
    const size = this.#size + data.length;
    if (size > this.#maxMessageBytes) {
      this.#parts = [];
      this.#size = 0;
      return "too-large";
    }
    if (!endOfMessage) {
      if (data.length > 0) this.#parts.push(data);
      this.#size = size;
      return "incomplete";
    }
    const parts = this.#parts;
    if (parts.length === 0) return data;
    this.#parts = [];
    this.#size = 0;
    if (parts.length === 1 && data.length === 0) return parts[0]!;
    const message = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      message.set(part, at);
      at += part.length;
    }
    message.set(data, at);
    return message;
  }
}
