import { Code, ConnectError } from "@connectrpc/connect";
import { connectionReason } from "../core/net/connection_error.ts";
import {
  dialAdvice,
  type MissingPermission,
  missingPermission,
  permissionAdvice,
  PHASE_WAITS,
} from "../core/dial/dial_advice.ts";
import type { DialPhase, TimelineEntry } from "../core/dial/timeline.ts";
import {
  AuthenticationError,
  type DialAttempt,
  DialError,
  DialPermissionError,
  DialTimeoutError,
  HostOfflineError,
  InsecureConnectionError,
  SignalingError,
} from "../errors.ts";

/** What is known when a dial fails. */
export interface DialFailure {
  readonly error: unknown;
  readonly phase: DialPhase;
  readonly address: string;
  readonly attempts: readonly DialAttempt[];
  readonly timeline: readonly TimelineEntry[];
  /** Set when the time ran out. */
  readonly timeoutMs?: number | undefined;
  /** Whether there were credentials or a token. */
  readonly authenticated?: boolean;
}

const OFFLINE = "host appears to be offline";

const SIGNALING_PHASES: readonly DialPhase[] = ["config", "offer", "signaling", "channel"];

/** The error that a dial rejects with: of the kind that tells what to do, and saying it. */
export function toDialError(failure: DialFailure): DialError {
  const { error, phase, address, attempts, timeline, timeoutMs } = failure;
  const init = { phase, address, attempts, timeline, cause: error };
  // Made where it was found out, which is before the attempt is over.
  if (error instanceof InsecureConnectionError) {
    const { message, authenticated } = error;
    return new InsecureConnectionError(message, {
      phase: error.phase,
      address,
      attempts,
      timeline,
      authenticated,
    });
  }
  if (error instanceof DialError) return error;
  if (timeoutMs !== undefined) {
    return new DialTimeoutError(
      `Cannot dial ${address} within ${timeoutMs} ms: the time ran out in phase "${phase}", ` +
        `${PHASE_WAITS[phase]}. ${dialAdvice(undefined, phase)}; if the network is slow, raise timeoutMs`,
      init,
    );
  }
  const permission = permissionOf(error);
  if (permission !== undefined) {
    const { flag, scope } = permission;
    const what = `${flag.replace("--allow-", "")} access${scope === undefined ? "" : ` to ${scope}`}`;
    return new DialPermissionError(
      `Cannot dial ${address}: Deno does not permit ${what}. ${permissionAdvice(permission, phase)}`,
      { ...init, flag },
    );
  }
  const reason = connectionReason(error);
  const text = (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
  const failed = (why: string, advice: string) => `Cannot dial ${address}: ${why}: ${text}. ${advice}`;
  if (error instanceof ConnectError) {
    if (error.code === Code.Unauthenticated || error.code === Code.PermissionDenied) {
      return new AuthenticationError(
        failure.authenticated === false
          ? failed("the server wants credentials", "Pass some, such as DialOptions.withApiKey(key, id)")
          : failed(
            "the server refused the credentials",
            "Check the key and its id, and that they are for this machine",
          ),
        init,
      );
    }
    if (error.rawMessage.startsWith(OFFLINE)) {
      return new HostOfflineError(
        failed("the machine is offline", "Check that viam-server runs there and has a network"),
        init,
      );
    }
    if (phase === "authenticate" && error.code === Code.Unimplemented) {
      return new AuthenticationError(
        failed("the server takes no credentials", "Dial it without credentials"),
        init,
      );
    }
    if (SIGNALING_PHASES.includes(phase)) {
      return new SignalingError(
        failed(`no WebRTC connection, in phase "${phase}"`, dialAdvice(reason, phase)),
        init,
      );
    }
  }
  return new DialError(failed(`it failed in phase "${phase}"`, dialAdvice(reason, phase)), init);
}

/** The refusal to go on without TLS (Python's `InsecureConnectionError`; protocol §2.7). */
export function insecureConnection(
  failure: Omit<DialFailure, "error">,
  target: string,
  authenticated: boolean,
): InsecureConnectionError {
  const text = authenticated
    ? `Requested address ${target} is insecure and will not send credentials`
    : `Requested address ${target} is insecure`;
  const hint = authenticated
    ? "It speaks no TLS. If the network is trusted, set insecure or allowInsecureWithCredsDowngrade"
    : "It speaks no TLS. If that is right, set insecure or allowInsecureDowngrade";
  return new InsecureConnectionError(`${text}. ${hint}`, { ...failure, authenticated });
}

/** The permission that is missing, if that is what the error is about. */
function permissionOf(error: unknown): MissingPermission | undefined {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 10; cause = cause.cause, depth++) {
    const missing = missingPermission(cause.message);
    if (missing !== undefined) return missing;
  }
  return undefined;
}
