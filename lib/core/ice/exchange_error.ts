import { ConnectError } from "@connectrpc/connect";

/**
 * Where an attempt failed: before there was an answer, or by a broken protocol ("signaling"); at the machine, after
 * it had answered ("answerer"); or in our own ICE, DTLS or SCTP ("connection").
 */
export type ExchangeFailure = "signaling" | "answerer" | "connection";

/** A WebRTC connection that did not come about, and where it failed. */
export class ExchangeError extends ConnectError {
  readonly reason: ExchangeFailure;

  /** @param cause Has the code and the message. */
  constructor(reason: ExchangeFailure, cause: ConnectError) {
    super(cause.rawMessage, cause.code, cause.metadata, undefined, cause);
    this.reason = reason;
  }

  /** That of `ConnectError`, which would be inherited, holds of every `ConnectError`. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return Function.prototype[Symbol.hasInstance].call(this, value);
  }
}
