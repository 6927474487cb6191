import type { ConnectError } from "@connectrpc/connect";
import type { Metadata } from "../core/grpc/metadata.ts";
import type { StreamKind } from "../core/grpc/stream_kind.ts";

/** What opens a call. */
export interface CallRequest {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly kind: StreamKind;
  /** Request metadata, names in lower case, `-bin` values as base64. Not changed by the carrier. */
  readonly metadata: Metadata;
  /** The same `metadata` comes again with other calls, unchanged: a carrier may keep what it makes of it. */
  readonly constant?: boolean;
  /** Time left until the deadline, in milliseconds; undefined without a deadline. Told to the server. */
  readonly timeoutMs: number | undefined;
  /** Goes ahead of the messages of other calls, where a carrier orders them itself. For small messages. */
  readonly urgent?: boolean;
}

/** How a call ended. */
export interface CallEnd {
  /** Undefined when the status is OK. Its `metadata` holds the trailers, too. */
  readonly error: ConnectError | undefined;
  readonly trailers: Metadata;
}

/**
 * What a carrier reports of one call: headers at most once, then messages, then the end exactly once. After the
 * end, or after `Call.reset`, nothing. No event comes before `Carrier.open` has returned.
 */
export interface CallListener {
  headers(metadata: Metadata): void;
  /** One whole serialized message. The bytes are the listener's to keep. */
  message(bytes: Uint8Array): void;
  end(end: CallEnd): void;
}

/** One open call. No method throws; what goes wrong is reported to the listener as the end. */
export interface Call {
  /**
   * Sends one serialized message; with `last`, half-closes in the same breath.
   *
   * @returns undefined while there is room for more; else a promise, which never rejects, for when there is room
   * again or the call has ended.
   */
  send(message: Uint8Array, last: boolean): Promise<void> | undefined;
  /** Half-closes: nothing more is sent. Does nothing after a `last` message. */
  halfClose(): void;
  /** Abandons the call and tells the server. Does nothing after the end. */
  reset(): void;
  /**
   * Asks for no more messages for now. A carrier with flow control holds the server back; one without goes on
   * reporting, and the listener's budget decides.
   */
  pause(): void;
  /** Undoes `pause`. */
  resume(): void;
}

/** What a unary call brought. */
export interface UnaryAnswer {
  /** `Metadata` where the carrier tells repeated values apart. */
  readonly headers: Headers;
  /** The one message, serialized. */
  readonly message: Uint8Array;
  readonly trailers: Metadata;
}

/** What every carrier is made with. */
export interface CarrierLimits {
  /** Largest message taken in, in bytes; a larger one ends its call with `ResourceExhausted`. */
  readonly maxMessageBytes: number;
}

/** Opens gRPC calls over one kind of connection, and moves bytes. It knows nothing of protobuf services. */
export interface Carrier {
  /** Never throws: a carrier that cannot open a call ends it with `Unavailable`. */
  open(request: CallRequest, listener: CallListener): Call;
  /**
   * Makes a unary call in one step, where that is cheaper than by `open`. Rejects with the `ConnectError` that ends
   * the call, or with the signal's reason once that aborts.
   */
  unary?(request: CallRequest, message: Uint8Array, signal: AbortSignal | undefined): Promise<UnaryAnswer>;
  /** Ends every open call with `Unavailable` and frees sockets, timers and native handles. Idempotent. */
  close(): Promise<void>;
}
