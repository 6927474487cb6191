import type { Link } from "../channel/link.ts";
import { backoffMs } from "../core/dial/backoff.ts";
import { firstServer } from "../core/dial/plan.ts";
import { describeChosen } from "../core/net/proxy.ts";
import { describeTarget } from "../core/net/target.ts";
import type { DialAttempt, DialError } from "../errors.ts";
import { DialOptionsError } from "../options/options_error.ts";
import { abortable } from "../runtime/abortable.ts";
import { linkAbort } from "../runtime/linked_abort.ts";
import { wait } from "../runtime/wait.ts";
import { checkClientCertificate } from "./client_certificate.ts";
import type { DialContext } from "./context.ts";
import { toDialError } from "./failure.ts";
import { isAuthenticated } from "./server.ts";
import { connectAnyWay } from "./ways.ts";

/**
 * Makes the first link, in up to `initialAttempts` attempts that share the budget `timeoutMs`.
 *
 * @throws {DialError} with every attempt, or the reason of the caller's signal
 */
export async function attemptDial(dial: DialContext): Promise<Link> {
  const { options } = dial;
  options.signal?.throwIfAborted();
  const attempts: DialAttempt[] = [];
  using budget = linkAbort([options.signal], {
    timeoutMs: options.timeoutMs,
    onTimeout: () => new DOMException("the dial took too long", "TimeoutError"),
  });
  const { signal } = budget;
  for (let attempt = 1;; attempt++) {
    let begun = false;
    try {
      await wait(backoffMs(attempt, Math.random()), signal);
      begun = true;
      await abortable(checkClientCertificate(options.tls), signal);
      // Loaded before there is a link, and within the budget.
      if (options.session) await abortable(import("../session/keep_session.ts"), signal);
      return await connectAnyWay(dial, signal);
    } catch (thrown) {
      if (options.signal?.aborted === true) throw options.signal.reason;
      if (thrown instanceof DialOptionsError) throw thrown;
      // If the time runs out between two attempts, the dial failed with the error of the last one.
      const before = begun ? undefined : attempts.at(-1);
      const error = before === undefined ? thrown : before.error;
      if (before === undefined) attempts.push(attemptOf(dial, error));
      if (attempt < options.initialAttempts && !signal.aborted) continue;
      const isLate = before === undefined && signal.aborted;
      throw dialError(dial, error, attempts, isLate ? options.timeoutMs : undefined);
    }
  }
}

function attemptOf(dial: DialContext, error: unknown): DialAttempt {
  return { path: dial.plan.kind, target: describeTarget(firstServer(dial.plan)), error };
}

/**
 * Makes the error of a failed dial, with advice.
 *
 * @param timeoutMs Set if the time ran out.
 */
export function dialError(
  dial: DialContext,
  error: unknown,
  attempts: readonly DialAttempt[] = [attemptOf(dial, error)],
  timeoutMs?: number,
): DialError {
  const { options, timeline, address } = dial;
  return toDialError({
    error,
    phase: timeline.phase,
    address,
    attempts,
    timeline: timeline.entries,
    authenticated: isAuthenticated(options),
    proxy: describeChosen(dial.proxyFor(firstServer(dial.plan))),
    timeoutMs,
  });
}
