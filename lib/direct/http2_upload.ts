import type { Outlet } from "../rpc/outbox.ts";

/** Bytes of messages that are sent at once, even while others are on their way. */
const BATCH_BYTES = 16 * 1024;

/** Bytes of a last message below which nobody is told of its write: nothing waits behind it. */
const FEW_BYTES = 1_024;

/** The stream that an {@link Http2Upload} writes to. */
export interface UploadStream {
  write(chunk: Uint8Array, sent: (error?: Error | null) => void): void;
  end(chunk?: Uint8Array, sent?: (error?: Error | null) => void): void;
}

/**
 * Writes messages to a stream of HTTP/2. Small messages that come while others are on their way go out together: a write
 * costs the runtime as much as many a message.
 */
export class Http2Upload implements Outlet {
  readonly #stream: UploadStream;
  readonly #encode: (messages: readonly Uint8Array[]) => Uint8Array;
  readonly #onWrite: (bytes: number) => () => void;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  /** Told once the batch is on its way. */
  #waiting: (() => void)[] = [];
  #writing = 0;

  /**
   * @param encode Puts messages into their frames, one after the other.
   * @param onWrite Called when a write begins; what it returns, when the system has taken all of it.
   */
  constructor(
    stream: UploadStream,
    encode: (messages: readonly Uint8Array[]) => Uint8Array,
    onWrite: (bytes: number) => () => void,
  ) {
    this.#stream = stream;
    this.#encode = encode;
    this.#onWrite = onWrite;
  }

  write(message: Uint8Array, last: boolean, sent: () => void): void {
    this.#batch.push(message);
    this.#batchBytes += message.length;
    if (last) return this.halfClose();
    this.#waiting.push(sent);
    if (this.#writing === 0 || this.#batchBytes >= BATCH_BYTES) this.#send();
  }

  halfClose(): void {
    if (this.#batch.length === 0) return this.#stream.end();
    const frames = this.#encode(this.#batch);
    if (frames.length < FEW_BYTES) this.#stream.end(frames);
    else {
      const ended = this.#onWrite(frames.length);
      this.#stream.end(frames, (error) => {
        if (!error) ended();
      });
    }
    this.#batch = [];
  }

  /** Sends nothing more: the stream is gone, or the call is over. */
  close(): void {
    this.#batch = [];
    this.#waiting = [];
  }

  #send(): void {
    const frames = this.#encode(this.#batch), waiting = this.#waiting;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#waiting = [];
    this.#writing++;
    const ended = this.#onWrite(frames.length);
    // Bun does not always report `drain`; every write reports its own end on all runtimes.
    this.#stream.write(frames, (error) => {
      if (error) return this.close();
      this.#writing--;
      ended();
      for (const sent of waiting) sent();
      if (this.#writing === 0 && this.#batch.length > 0) this.#send();
    });
  }
}
