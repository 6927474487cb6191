import { Code, ConnectError } from "@connectrpc/connect";
import type { Call, CallEnd } from "./carrier.ts";

interface Reader<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(reason: unknown): void;
}

/** Messages that wait for their reader before the carrier is asked to hold back. */
const PAUSE_AT_MESSAGES = 16;

/**
 * What a stream has received and its reader has not taken yet. It asks the carrier to pause while the reader is
 * behind; a carrier that cannot (a data channel has no window of its own, protocol §4.11) may fill it up to
 * `maxBufferedBytes`, then the call is given up with `ResourceExhausted` and the others go on.
 */
export class ReceiveQueue<T> implements AsyncIterator<T, undefined, undefined> {
  readonly #parse: (bytes: Uint8Array) => T;
  readonly #maxBufferedBytes: number;
  readonly #onEnd: (end: CallEnd) => void;
  #messages: Uint8Array[] = [];
  #first = 0;
  #bytes = 0;
  #paused = false;
  #call: Call | undefined;
  #ended = false;
  #error: unknown;
  #reader: Reader<T> | undefined;
  #reading: Promise<unknown> | undefined;

  /**
   * @param parse Reads one message; what it throws ends the call.
   * @param onEnd Called once, with how the call ended, before the reader learns it.
   */
  constructor(parse: (bytes: Uint8Array) => T, maxBufferedBytes: number, onEnd: (end: CallEnd) => void) {
    this.#parse = parse;
    this.#maxBufferedBytes = maxBufferedBytes;
    this.#onEnd = onEnd;
  }

  /** Names the call that is paused and reset. */
  attach(call: Call): void {
    this.#call = call;
  }

  /** Takes a message from the carrier. */
  push(bytes: Uint8Array): void {
    if (this.#ended) return;
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      this.#deliver(bytes, reader);
      return;
    }
    this.#messages.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > this.#maxBufferedBytes) {
      this.#call?.reset();
      this.fail(
        new ConnectError(
          `the reader of this stream is more than ${this.#maxBufferedBytes} bytes behind; ` +
            `read faster, or raise maxBufferedBytes`,
          Code.ResourceExhausted,
        ),
      );
      return;
    }
    if (!this.#paused && this.#messages.length - this.#first >= PAUSE_AT_MESSAGES) {
      this.#paused = true;
      this.#call?.pause();
    }
  }

  /** The call has ended. What is queued is still delivered, then the error if there is one. */
  end(end: CallEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = end.error;
    this.#onEnd(end);
    const reader = this.#reader;
    if (reader === undefined) return;
    this.#reader = undefined;
    if (end.error !== undefined) reader.reject(end.error);
    else reader.resolve({ done: true, value: undefined });
  }

  /** Ends the stream at once with an error; what is queued is dropped. */
  fail(error: unknown): void {
    this.#messages = [];
    this.#first = 0;
    this.#bytes = 0;
    if (this.#ended) {
      this.#error ??= error;
      return;
    }
    this.#ended = true;
    this.#error = error;
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.reject(error);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#first < this.#messages.length) {
      const bytes = this.#messages[this.#first]!;
      this.#messages[this.#first++] = undefined!;
      this.#bytes -= bytes.length;
      if (this.#first === this.#messages.length) {
        this.#messages = [];
        this.#first = 0;
      }
      if (this.#paused && this.#messages.length - this.#first <= PAUSE_AT_MESSAGES / 2) {
        this.#paused = false;
        this.#call?.resume();
      }
      return new Promise((resolve, reject) => this.#deliver(bytes, { resolve, reject }));
    }
    if (this.#ended) {
      return this.#error === undefined
        ? Promise.resolve({ done: true, value: undefined })
        : Promise.reject(this.#error);
    }
    if (this.#reader !== undefined && this.#reading !== undefined) {
      // A read beside one that waits already takes its turn after it.
      return this.#reading.then(() => this.next(), () => this.next());
    }
    const reading = new Promise<IteratorResult<T, undefined>>((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
    this.#reading = reading;
    return reading;
  }

  #deliver(bytes: Uint8Array, reader: Reader<T>): void {
    let value: T;
    try {
      value = this.#parse(bytes);
    } catch (error) {
      this.#call?.reset();
      const failure = new ConnectError(
        "cannot parse the server's message",
        Code.Internal,
        undefined,
        undefined,
        error,
      );
      this.fail(failure);
      reader.reject(failure);
      return;
    }
    reader.resolve({ done: false, value });
  }
}
