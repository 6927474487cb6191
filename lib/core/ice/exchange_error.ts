import { ConnectError } from "@connectrpc/connect";

/**
 * The place where an attempt failed: before the answer, or by a broken protocol ("signaling"); in the queue of the
 * signaling server, which ended the call well and without an answer ("unanswered"); at the machine, after its answer
 * ("answerer"); in our own ICE, DTLS or SCTP ("connection"); or at the relays, through which it has to lead ("relay").
 */
export type ExchangeFailure = "signaling" | "unanswered" | "answerer" | "connection" | "relay";

/** Failures to find a path, of both ends together. */
export const PATH_FAILURES: ReadonlySet<ExchangeFailure> = new Set(["answerer", "connection", "relay"]);

/** A failed WebRTC connection, and the place where it failed. */
export class ExchangeError extends ConnectError {
  readonly reason: ExchangeFailure;

  /** @param cause Has the code and the message. */
  constructor(reason: ExchangeFailure, cause: ConnectError) {
    super(cause.rawMessage, cause.code, cause.metadata, undefined, cause);
    this.reason = reason;
  }

  /** The inherited one of `ConnectError` would accept every `ConnectError`. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return Function.prototype[Symbol.hasInstance].call(this, value);
  }
}
