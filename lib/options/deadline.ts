import { MAX_TIMER_MS } from "../core/limits.ts";
import { optionProblem } from "./option_problem.ts";
import { DialOptionsError } from "./options_error.ts";

/**
 * Turns a point in time into the call option `timeoutMs`, for calls that have to be done by then. A deadline that has
 * passed becomes the shortest timeout there is, so that the call fails with `DeadlineExceeded`.
 *
 * Source: the deadline of a grpclib call in Python, and gRPC over HTTP/2, *Timeout*, which carries what is left of it.
 *
 * @param at When: a `Date`, or milliseconds since 1970 as of `Date.now()`.
 * @param timeoutMs A timeout beside it; the earlier of both counts.
 * @throws {DialOptionsError} if one of them is no time
 *
 * @example
 * ```ts
 * import { createClient } from "@connectrpc/connect";
 * import { deadline, dialDirect } from "@viam-dial/dial";
 * import { EchoService, startMachine } from "@viam-dial/dial/testing";
 *
 * await using machine = await startMachine({ auth: "none" });
 * await using channel = await dialDirect(machine.address, { insecure: true });
 * const by = deadline(Date.now() + 5_000);
 * const { message } = await createClient(EchoService, channel).echo({ message: "hello" }, by);
 * ```
 */
export function deadline(at: Date | number, timeoutMs: number = Infinity): { readonly timeoutMs: number } {
  const time = at instanceof Date ? at.getTime() : at;
  const problems = [];
  if (typeof time !== "number" || Number.isNaN(time)) {
    problems.push(optionProblem("deadline", time, "is neither a Date nor milliseconds since 1970"));
  }
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0)) {
    problems.push(optionProblem("timeoutMs", timeoutMs, "is no number of milliseconds"));
  }
  if (problems.length > 0) throw new DialOptionsError(problems);
  // As everywhere, a timeout of 0 is none.
  const left = Math.min(Math.ceil(time - Date.now()), timeoutMs === 0 ? Infinity : timeoutMs, MAX_TIMER_MS);
  // Less than a millisecond fails the call before it is made; what is no time at all would be no deadline.
  return { timeoutMs: left > 0 ? left : Number.MIN_VALUE };
}
