import { Code, ConnectError } from "@connectrpc/connect";
import { MAX_TIMER_MS } from "../core/limits.ts";
import { linkAbort, type LinkedAbort } from "../runtime/linked_abort.ts";

/** The deadline of a call. */
export interface Deadline {
  /** Time from the start of the call, in milliseconds; undefined without a deadline. */
  readonly timeoutMs: number | undefined;
  /**
   * Returns the milliseconds left, to send to the server; interceptors and waits have used some. Undefined without a
   * deadline.
   *
   * @throws ConnectError `DeadlineExceeded` when none are left: a program that has slept may send before its timers fire
   */
  readonly left: (() => number) | undefined;
  readonly passed: boolean;
}

const NONE: Deadline = { timeoutMs: undefined, left: undefined, passed: false };

/**
 * Starts a deadline.
 *
 * @throws ConnectError `InvalidArgument` when the timeout is not a number, `DeadlineExceeded` when it has passed
 */
export function deadlineOf(timeoutMs: number | undefined): Deadline {
  if (timeoutMs === undefined || timeoutMs <= 0 || timeoutMs === Infinity) return NONE;
  if (typeof timeoutMs !== "number" || Number.isNaN(timeoutMs)) {
    throw new ConnectError(`timeoutMs is ${String(timeoutMs)}, and must be a number`, Code.InvalidArgument);
  }
  // A call could end before such a short timer fires. `deadline()` returns this value for a time that has passed.
  if (timeoutMs < 1) throw timedOut();
  const bounded = Math.min(timeoutMs, MAX_TIMER_MS);
  const end = performance.now() + bounded;
  return {
    timeoutMs: bounded,
    left() {
      const left = end - performance.now();
      if (left <= 0) throw timedOut();
      return Math.max(1, left);
    },
    get passed() {
      return performance.now() >= end;
    },
  };
}

/** Links the signals that can end a call before the server does: the caller's and the deadline. */
export function linkDeadline(signal: AbortSignal | undefined, { timeoutMs }: Deadline): LinkedAbort {
  return linkAbort([signal], { timeoutMs, onTimeout: timedOut });
}

/**
 * Returns the error that a call ends with. A server that enforces deadlines resets late calls, and its reset may arrive
 * before the client's own timer fires: then the deadline is the reason, as in grpc-go.
 */
export function endWithin(deadline: Deadline, error: ConnectError): ConnectError {
  return error.isWireError || !deadline.passed ? error : timedOut(error);
}

function timedOut(cause?: ConnectError): ConnectError {
  return new ConnectError("the operation timed out", Code.DeadlineExceeded, undefined, undefined, cause);
}
