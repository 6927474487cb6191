import { MAX_TIMER_MS } from "../core/limits.ts";
import { DialOptionsError } from "./options_error.ts";
import { wrongValue } from "./problem.ts";
import { isMilliseconds } from "./reader.ts";

/**
 * Turns a point in time into the call option `timeoutMs`. A deadline that has passed becomes the shortest timeout, so
 * the call fails with `DeadlineExceeded`.
 *
 * Source: the deadline of a grpclib call in Python, and gRPC over HTTP/2, *Timeout*, which carries the time left.
 *
 * @param at A `Date`, or milliseconds since 1970 as of `Date.now()`.
 * @param timeoutMs A timeout as well; the earlier of both counts.
 * @throws {DialOptionsError} if one of them is not a time
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
    problems.push(wrongValue("deadline", time, "must be a Date or milliseconds since 1970"));
  }
  const timeout = isMilliseconds(timeoutMs);
  if ("problem" in timeout) problems.push(wrongValue("timeoutMs", timeoutMs, timeout.problem));
  if (problems.length > 0) throw new DialOptionsError(problems);
  const left = Math.min(Math.ceil(time - Date.now()), timeoutMs === 0 ? Infinity : timeoutMs, MAX_TIMER_MS);
  // The least number fails the call before it is made; 0 would mean no timeout.
  return { timeoutMs: left > 0 ? left : Number.MIN_VALUE };
}
