import type { ConnectError } from "@connectrpc/connect";
import type { Metadata } from "../core/grpc/metadata.ts";
import type { StreamKind } from "../core/grpc/stream_kind.ts";

/** The data that opens a call. */
export interface CallRequest {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly kind: StreamKind;
  /** Request metadata, with names in lower case and `-bin` values as base64. The carrier does not change it. */
  readonly metadata: Metadata;
  /** True if other calls have the same unchanged `metadata`: a carrier may cache what it makes of it. */
  readonly constant?: boolean;
  /**
   * Returns the time left until the deadline, in milliseconds; undefined without a deadline. A carrier calls it when it
   * sends the time to the server, and ends the call with what it throws once none is left.
   */
  readonly timeoutMs: (() => number) | undefined;
  /** Sends ahead of the messages of other calls, where the carrier orders them. For small messages. */
  readonly urgent?: boolean;
}

/** The end of a call. */
export interface CallEnd {
  /** Undefined when the status is OK. Its `metadata` contains the trailers, too. */
  readonly error: ConnectError | undefined;
  readonly trailers: Metadata;
}

/**
 * Receives the reports of a carrier on one call: headers at most once, then messages, then the end exactly once.
 * Nothing comes after the end, or after `Call.reset`, and nothing before `Carrier.open` has returned.
 */
export interface CallListener {
  /** @param read Makes metadata of them, the same each time: most callers never look at it. */
  headers(read: () => Metadata): void;
  /** A whole serialized message. The listener may keep the bytes. */
  message(bytes: Uint8Array): void;
  end(end: CallEnd): void;
}

/** An open call. No method throws; failures are reported to the listener as the end. */
export interface Call {
  /**
   * Sends one serialized message; `last` also half-closes.
   *
   * @returns Undefined while there is room for more; otherwise a promise, which never rejects, that resolves when there
   * is room again or the call has ended.
   */
  send(message: Uint8Array, last: boolean): Promise<void> | undefined;
  /** Half-closes: nothing more is sent. Does nothing after a `last` message. */
  halfClose(): void;
  /** Abandons the call and tells the server. Does nothing after the end. */
  reset(): void;
  /**
   * Asks the carrier to hold back messages. A carrier with flow control pauses the server; one without keeps reporting,
   * and the listener enforces its limit.
   */
  pause(): void;
  /** Undoes `pause`. */
  resume(): void;
}

/** The answer to a unary call. */
export interface UnaryAnswer {
  /** A `Metadata` if the carrier separates repeated values. */
  readonly headers: Headers;
  /** The one message, serialized. */
  readonly message: Uint8Array;
  readonly trailers: Metadata;
}

/** Settings of every carrier. */
export interface CarrierLimits {
  /** Largest accepted message, in bytes; a larger one ends its call with `ResourceExhausted`. */
  readonly maxMessageBytes: number;
}

/** Opens gRPC calls over one kind of connection, and moves bytes. It knows nothing of protobuf services. */
export interface Carrier {
  /** Never throws: a carrier that cannot open a call ends it with `Unavailable`. */
  open(request: CallRequest, listener: CallListener): Call;
  /**
   * Makes a unary call in one step, if that is cheaper than `open`. Rejects with the `ConnectError` that ends the call,
   * or with the reason of the aborted signal.
   */
  unary?(request: CallRequest, message: Uint8Array, signal: AbortSignal | undefined): Promise<UnaryAnswer>;
  /** Ends every open call with `Unavailable`, and releases sockets, timers and native handles. Idempotent. */
  close(): Promise<void>;
}
