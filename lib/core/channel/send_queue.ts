/** Encodes a slice of a message as a frame. */
export type EncodePacket = (
  stream: number,
  data: Uint8Array,
  endOfMessage: boolean,
  endOfStream: boolean,
  into: Uint8Array | undefined,
) => Uint8Array;

/**
 * Bytes at the start of each stream that go ahead of the turns: the request of a small call, or its whole answer. With
 * its frame, it fits into one packet of the engine.
 */
export const AHEAD_BYTES = 1_024;

interface QueuedMessage {
  readonly bytes: Uint8Array;
  readonly endOfStream: boolean;
  sent: number;
}

interface StreamQueue {
  readonly stream: number;
  /** Messages to cut into packets, and whole frames, in order. */
  readonly items: (QueuedMessage | { readonly frame: Uint8Array })[];
}

/**
 * The frames that wait to be written to a data channel, in order: control frames first, then the streams in turn, one
 * packet each, so that a small call waits behind one packet of a large one and not behind all of it.
 */
export class SendQueue {
  readonly #encode: EncodePacket;
  readonly #packetBytes: number;
  readonly #control: Uint8Array[] = [];
  readonly #streams = new Map<number, StreamQueue>();
  /** Streams that wait for their turn, first in line first. */
  readonly #turns: StreamQueue[] = [];
  #turn = 0;

  /** @param packetBytes Most bytes of a message in one frame. */
  constructor(encode: EncodePacket, packetBytes: number) {
    this.#encode = encode;
    this.#packetBytes = packetBytes;
  }

  /** True if nothing waits. */
  get empty(): boolean {
    return this.#control.length === 0 && this.#streams.size === 0;
  }

  /** True while this stream has anything left to send. */
  has(stream: number): boolean {
    return this.#streams.has(stream);
  }

  /** Queues a frame ahead of all messages: the headers of a new stream, or a reset. */
  pushControl(frame: Uint8Array): void {
    this.#control.push(frame);
  }

  /** Queues a frame behind what its stream has queued: a half-close, response headers, trailers. */
  pushFrame(stream: number, frame: Uint8Array): void {
    this.#queueOf(stream).items.push({ frame });
  }

  /** Queues a message behind what its stream has queued. */
  pushMessage(stream: number, bytes: Uint8Array, endOfStream: boolean): void {
    this.#queueOf(stream).items.push({ bytes, endOfStream, sent: 0 });
  }

  /** Drops what a stream has queued. */
  drop(stream: number): void {
    const queue = this.#streams.get(stream);
    if (queue === undefined) return;
    queue.items.length = 0;
    this.#streams.delete(stream);
  }

  /**
   * Returns the next frame to write, or undefined.
   *
   * @param into A buffer to write a packet into; the frame is then valid until the next call.
   * @param packetBytes Most bytes of a message in this frame; with 0, only a control frame is returned.
   */
  next(into?: Uint8Array, packetBytes: number = this.#packetBytes): Uint8Array | undefined {
    if (this.#control.length > 0) return this.#control.shift();
    if (packetBytes === 0) return undefined;
    for (;;) {
      const queue = this.#turns[this.#turn];
      if (queue === undefined) {
        this.#turns.length = 0;
        this.#turn = 0;
        return undefined;
      }
      this.#turn++;
      const item = queue.items[0];
      if (item === undefined) continue; // dropped while it waited
      const frame = this.#frameOf(queue, item, into, Math.min(packetBytes, this.#packetBytes));
      if (queue.items.length > 0) this.#turns.push(queue);
      else this.#streams.delete(queue.stream);
      // The turns are an array with a moving start; its head is cut off now and then.
      if (this.#turn > 64 && this.#turn * 2 > this.#turns.length) {
        this.#turns.splice(0, this.#turn);
        this.#turn = 0;
      }
      return frame;
    }
  }

  #frameOf(
    queue: StreamQueue,
    item: StreamQueue["items"][number],
    into: Uint8Array | undefined,
    packetBytes: number,
  ): Uint8Array {
    if ("frame" in item) {
      queue.items.shift();
      return item.frame;
    }
    const end = Math.min(item.sent + packetBytes, item.bytes.length);
    const last = end === item.bytes.length;
    const data = item.sent === 0 && last ? item.bytes : item.bytes.subarray(item.sent, end);
    item.sent = end;
    if (last) queue.items.shift();
    return this.#encode(queue.stream, data, last, last && item.endOfStream, into);
  }

  #queueOf(stream: number): StreamQueue {
    let queue = this.#streams.get(stream);
    if (queue === undefined) {
      queue = { stream, items: [] };
      this.#streams.set(stream, queue);
      this.#turns.push(queue);
    }
    return queue;
  }
}
