import { Code, ConnectError } from "@connectrpc/connect";
import type { Call, CallEnd } from "./carrier.ts";

/** Receives the end of a queue's call. */
export interface ReceiveQueueListener {
  /** The call has ended; called once, before the reader sees it. */
  ended(end: CallEnd): void;
  /** The queue has failed: its reader is too far behind, or a message cannot be parsed. Resets the call. */
  refused(error: ConnectError): void;
}

type Reader<T> = PromiseWithResolvers<IteratorResult<T, undefined>>;

/** Number of waiting messages at which the carrier is asked to pause. */
const PAUSE_AT_MESSAGES = 16;

/** Number of taken messages after which the queue is trimmed. */
const TRIM_AT_MESSAGES = 1_024;

/** Cost of a waiting message in addition to its bytes: small and empty messages use up the budget as well. */
const MESSAGE_BYTES = 256;

/**
 * Messages that a stream has received and its reader has not taken. The queue asks the carrier to pause while the
 * reader is behind. A carrier that cannot pause (a data channel has no windows, protocol §4.11) may fill it up to
 * `maxBufferedBytes`; then the call ends with `ResourceExhausted` and the others go on.
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

  /** @param parse Parses one message; its exception ends the call. */
  constructor(parse: (bytes: Uint8Array) => T, maxBufferedBytes: number, listener: ReceiveQueueListener) {
    this.#parse = parse;
    this.#maxBufferedBytes = maxBufferedBytes;
    this.#listener = listener;
  }

  /** Sets the call to pause. */
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

  /** Ends the stream. Queued messages are still delivered, followed by the error, if there is one. */
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

  /** Ends the stream at once with an error, and drops queued messages. */
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
      // Trimmed so that a reader that never quite catches up does not keep what it has taken.
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
      const reader: Reader<T> = Promise.withResolvers();
      this.#deliver(bytes, reader);
      return reader.promise;
    }
    if (this.#ended) {
      return this.#error === undefined
        ? Promise.resolve({ done: true, value: undefined })
        : Promise.reject(this.#error);
    }
    // A read during another waits for its turn.
    if (this.#reader !== undefined) return this.#reader.promise.then(() => this.next(), () => this.next());
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
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
