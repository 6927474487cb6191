import { encodeEnvelopes } from "../core/envelope.ts";

/** Bytes of request messages that may wait for the network, a call. */
const UPLOAD_BUFFER_BYTES = 256 * 1024;

/** Bytes that are handed over at a time, as far as more than one message waits. */
const CHUNK_BYTES = 128 * 1024;

/**
 * A request body that is written as messages come. What has come while the network took the last chunk goes into the
 * next one: a chunk costs the runtime as much as many a message.
 */
export class Upload {
  readonly stream: ReadableStream<Uint8Array>;
  /** Messages that wait, from `#first` on. */
  #messages: Uint8Array[] = [];
  #first = 0;
  #bytes = 0;
  #ended = false;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Set while the network waits for a chunk. */
  #pulled: PromiseWithResolvers<void> | undefined;
  #room: PromiseWithResolvers<void> | undefined;

  constructor() {
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => {
        if (this.#deliver()) return;
        this.#pulled = Promise.withResolvers();
        return this.#pulled.promise;
      },
      cancel: () => this.stop(),
    }, { highWaterMark: 0 });
  }

  /** Undefined while there is room. */
  write(message: Uint8Array): Promise<void> | undefined {
    if (this.#ended) return undefined;
    this.#messages.push(message);
    this.#bytes += message.length;
    this.#answerPull();
    if (this.#bytes <= UPLOAD_BUFFER_BYTES) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#answerPull();
  }

  /** Takes no more, and lets nobody wait. */
  stop(): void {
    this.#ended = true;
    this.#messages = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#answerPull();
    this.#wake();
  }

  #answerPull(): void {
    const pulled = this.#pulled;
    if (pulled === undefined || !this.#deliver()) return;
    this.#pulled = undefined;
    pulled.resolve();
  }

  /** Hands over what waits; false when nothing does and more may come. */
  #deliver(): boolean {
    const controller = this.#controller;
    if (controller === undefined) return true;
    if (this.#first === this.#messages.length) {
      if (!this.#ended) return false;
      this.#controller = undefined;
      try {
        controller.close();
      } catch {
        // Cancelled by the reader already.
      }
      return true;
    }
    const batch: Uint8Array[] = [];
    let bytes = 0;
    do {
      const message = this.#messages[this.#first]!;
      this.#messages[this.#first++] = EMPTY;
      batch.push(message);
      bytes += message.length;
    } while (
      this.#first < this.#messages.length && bytes + this.#messages[this.#first]!.length <= CHUNK_BYTES
    );
    if (this.#first === this.#messages.length) {
      this.#messages = [];
      this.#first = 0;
    }
    this.#bytes -= bytes;
    controller.enqueue(encodeEnvelopes(batch));
    if (this.#bytes <= UPLOAD_BUFFER_BYTES) this.#wake();
    return true;
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

const EMPTY: Uint8Array = new Uint8Array(0);
