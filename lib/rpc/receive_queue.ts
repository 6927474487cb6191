import { Code, ConnectError } from "@connectrpc/connect";
import type { Call, CallEnd } from "./carrier.ts";

/** Who is told how a queue's call ends. */
export interface ReceiveQueueListener {
  /** The call has ended; called once, before the reader learns it. */
  ended(end: CallEnd): void;
  /** The queue takes nothing more: its reader is too far behind, or a message cannot be parsed. Resets the call. */
  refused(error: ConnectError): void;
}

interface Reader<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(reason: unknown): void;
}

/** Messages that wait for their reader before the carrier is asked to hold back. */
const PAUSE_AT_MESSAGES = 16;

/** Messages taken after which the line of those that wait is cut to what is left of it. */
const TRIM_AT_MESSAGES = 1_024;

/** What a waiting message costs besides its bytes: small ones, and empty ones, use up the budget as well. */
const MESSAGE_BYTES = 256;

/**
 * What a stream has received and its reader has not taken yet. It asks the carrier to pause while the reader is
 * behind; a carrier that cannot (a data channel has no window of its own, protocol §4.11) may fill it up to
 * `maxBufferedBytes`, then the call is given up with `ResourceExhausted` and the others go on.
 */
export class ReceiveQueue<T> implements AsyncIterator<T, undefined, undefined> {
  readonly #parse: (bytes: Uint8Array) => T;
  readonly #maxBufferedBytes: number;
  readonly #listener: ReceiveQueueListener;
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
   */
  constructor(parse: (bytes: Uint8Array) => T, maxBufferedBytes: number, listener: ReceiveQueueListener) {
    this.#parse = parse;
    this.#maxBufferedBytes = maxBufferedBytes;
    this.#listener = listener;
  }

  /** Names the call that is paused. */
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
    this.#bytes += bytes.length + MESSAGE_BYTES;
    if (this.#bytes > this.#maxBufferedBytes) {
      this.#refuse(
        new ConnectError(
          `the reader of this stream is more than ${this.#maxBufferedBytes} bytes behind; ` +
            `read faster, or raise maxBufferedBytes`,
          Code.ResourceExhausted,
        ),
      );
      return;
    }
    if (
      !this.#paused &&
      (this.#messages.length - this.#first >= PAUSE_AT_MESSAGES || this.#bytes > this.#maxBufferedBytes / 4)
    ) {
      this.#paused = true;
      this.#call?.pause();
    }
  }

  /** The call has ended. What is queued is still delivered, then the error if there is one. */
  end(end: CallEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = end.error;
    this.#listener.ended(end);
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
      this.#bytes -= bytes.length + MESSAGE_BYTES;
      // A reader that never quite catches up must not leave a growing line of what it has taken.
      if (this.#first === this.#messages.length || this.#first >= TRIM_AT_MESSAGES) {
        this.#messages = this.#messages.slice(this.#first);
        this.#first = 0;
      }
      if (
        this.#paused && this.#messages.length - this.#first <= PAUSE_AT_MESSAGES / 2 &&
        this.#bytes <= this.#maxBufferedBytes / 4
      ) {
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
      const failure = ConnectError.from(error, Code.Internal);
      this.#refuse(failure);
      reader.reject(failure);
      return;
    }
    reader.resolve({ done: false, value });
  }

  #refuse(error: ConnectError): void {
    this.fail(error);
    this.#listener.refused(error);
  }
}
