import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";
import { addHeaders } from "./add_headers.ts";
import type { CallEnd, CallListener, CallRequest, Carrier, UnaryAnswer } from "./carrier.ts";

/**
 * Makes a unary call on a carrier.
 *
 * @throws the `ConnectError` that ended the call, or the reason of the signal
 */
export function unaryCall(
  carrier: Carrier,
  request: CallRequest,
  message: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<UnaryAnswer> {
  if (signal?.aborted === true) return Promise.reject(signal.reason);
  if (carrier.unary !== undefined) return carrier.unary(request, message, signal);
  return new Promise((resolve, reject) => {
    const collector = new AnswerCollector(resolve, reject);
    const call = carrier.open(request, collector);
    if (signal !== undefined) {
      const abort = () => {
        call.reset();
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      // Connect also aborts its signal after success; by then there is nothing to reset.
      collector.ended = () => signal.removeEventListener("abort", abort);
    }
    call.send(message, true);
  });
}

/** Assembles the answer. */
export class AnswerCollector implements CallListener {
  readonly #resolve: (answer: UnaryAnswer) => void;
  readonly #reject: (error: ConnectError) => void;
  #headers: (() => Metadata) | undefined;
  #message: Uint8Array | undefined;
  #more = false;
  /** Called when the call is over. */
  ended: (() => void) | undefined;

  /** One of the two is called once, with the answer or with the error of the call. */
  constructor(resolve: (answer: UnaryAnswer) => void, reject: (error: ConnectError) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  headers(read: () => Metadata): void {
    this.#headers = read;
  }

  message(bytes: Uint8Array): void {
    this.#more = this.#message !== undefined;
    this.#message = bytes;
  }

  end(end: CallEnd): void {
    this.ended?.();
    const { error } = end;
    if (error !== undefined) {
      // As in any Connect transport, the metadata of an error has both.
      addHeaders(error.metadata, this.#headers?.());
      return this.#reject(error);
    }
    const message = this.#message;
    if (message === undefined || this.#more) {
      // A cardinality violation (grpc/doc/statuscodes.md).
      const problem = `the server sent ${message === undefined ? "no" : "more than one"} message`;
      return this.#reject(new ConnectError(problem, Code.Unimplemented, end.trailers));
    }
    this.#resolve(new CollectedAnswer(this.#headers ?? (() => new Metadata()), message, end));
  }
}

/** A class, since an object literal with getters takes longer to make than all else in this file. */
class CollectedAnswer implements UnaryAnswer {
  readonly message: Uint8Array;
  readonly #read: () => Metadata;
  readonly #end: CallEnd;
  #headers: Metadata | undefined;

  constructor(read: () => Metadata, message: Uint8Array, end: CallEnd) {
    this.#read = read;
    this.message = message;
    this.#end = end;
  }

  get headers(): Metadata {
    return this.#headers ??= this.#read();
  }

  get trailers(): Metadata {
    return this.#end.trailers;
  }
}
