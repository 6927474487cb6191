/** Bytes of request messages that may wait for the network, a call. */
const UPLOAD_BUFFER_BYTES = 256 * 1024;

/** Bytes that are handed over at a time, as far as more than one message waits. */
const CHUNK_BYTES = 128 * 1024;

/** Bytes that are kept for another try. */
const KEPT_BYTES = 64 * 1024;

/**
 * A request body that is written as messages come. What has come while the network took the last chunk goes into the
 * next one: a chunk costs the runtime as much as many a message.
 */
export class Upload {
  readonly #encode: (messages: readonly Uint8Array[]) => Uint8Array;
  /** Messages that wait, from `#first` on. */
  #messages: Uint8Array[] = [];
  #first = 0;
  #bytes = 0;
  #ended = false;
  /** The runtime has cancelled the body. */
  #dropped = false;
  /** What was handed over, as long as it is not much and may have to be sent again. */
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Set while the network waits for a chunk. */
  #pulled: PromiseWithResolvers<void> | undefined;
  #room: PromiseWithResolvers<void> | undefined;

  /** @param encode Puts messages into one chunk. */
  constructor(encode: (messages: readonly Uint8Array[]) => Uint8Array) {
    this.#encode = encode;
  }

  /** Whether `open` can be called, again. */
  get repeatable(): boolean {
    return this.#kept !== undefined;
  }

  /** The body, from its beginning. One that was given before is dead. */
  open(): ReadableStream<Uint8Array> {
    const kept = this.#kept ?? [];
    this.#messages = [...kept, ...this.#messages.slice(this.#first)];
    this.#first = 0;
    this.#bytes += this.#keptBytes;
    this.#kept = [];
    this.#keptBytes = 0;
    let own: ReadableStreamDefaultController<Uint8Array>;
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        own = this.#controller = controller;
      },
      pull: () => {
        if (this.#deliver()) return;
        this.#pulled = Promise.withResolvers();
        return this.#pulled.promise;
      },
      cancel: () => {
        if (this.#controller !== own) return;
        // Before there is an answer, there may be another try.
        if (this.#kept === undefined) this.#drop();
        this.#controller = undefined;
        this.#pulled = undefined;
      },
    }, { highWaterMark: 0 });
  }

  /** The server has answered: the body will not be sent again. */
  answered(): void {
    this.#kept = undefined;
  }

  /** Undefined while there is room. */
  write(message: Uint8Array): Promise<void> | undefined {
    if (this.#ended) return undefined;
    if (this.#dropped) {
      // Until the call is over: a sender that never had to wait would let nothing else happen, not even that.
      this.#room ??= Promise.withResolvers<void>();
      return this.#room.promise;
    }
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
    this.#kept = undefined;
    this.#messages = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#answerPull();
    this.#wake();
  }

  /** Nobody takes the body any more. How the call ends is still to come. */
  #drop(): void {
    this.#dropped = true;
    this.#messages = [];
    this.#first = 0;
    this.#bytes = 0;
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
    this.#keptBytes += bytes;
    if (this.#keptBytes > KEPT_BYTES) this.#kept = undefined;
    this.#kept?.push(...batch);
    controller.enqueue(this.#encode(batch));
    if (this.#bytes <= UPLOAD_BUFFER_BYTES) this.#wake();
    return true;
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

const EMPTY: Uint8Array = new Uint8Array(0);
