import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";
import type { CallEnd, CallListener } from "../rpc/carrier.ts";

/** A listener that is told one end, and nothing after it. */
export interface EndingListener extends CallListener {
  /** Whether the call has ended, or was reset. */
  readonly over: boolean;
  fail(error: ConnectError, trailers?: Metadata): void;
  /**
   * Ends a call whose connection or stream is lost. A server that keeps deadlines resets the calls that are over
   * theirs, and may be heard before the client's own timer: then the deadline is the reason (as in grpc-go).
   */
  lose(error: ConnectError): void;
  /** Stops telling. */
  mute(): void;
}

/** When a call that begins now is over its deadline, by `performance.now()`. */
export function deadlineOf(timeoutMs: number | undefined): number {
  return timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
}

/** Why a call is lost. */
export function lossOf(error: ConnectError, deadline: number): ConnectError {
  if (performance.now() < deadline) return error;
  return new ConnectError("the operation timed out", Code.DeadlineExceeded, undefined, undefined, error);
}

/**
 * Keeps the listener's contract for a carrier: headers once, nothing after the end.
 *
 * @param deadline By `performance.now()`; none by default.
 */
export function ending(listener: CallListener, deadline = Infinity): EndingListener {
  let over = false;
  const end = (how: CallEnd) => {
    if (over) return;
    over = true;
    listener.end(how);
  };
  return {
    get over() {
      return over;
    },
    headers(metadata) {
      if (!over) listener.headers(metadata);
    },
    message(bytes) {
      if (!over) listener.message(bytes);
    },
    end,
    fail: (error, trailers = new Metadata()) => end({ error, trailers }),
    lose: (error) => end({ error: lossOf(error, deadline), trailers: new Metadata() }),
    mute() {
      over = true;
    },
  };
}
