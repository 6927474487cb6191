import { Code, ConnectError } from "@connectrpc/connect";
import type { DialPhase, TimelineEntry } from "./core/timeline.ts";
import {
  AuthenticationError,
  type DialAttempt,
  DialError,
  DialPermissionError,
  DialTimeoutError,
  HostOfflineError,
  InsecureConnectionError,
  SignalingError,
} from "./errors.ts";

/** What is known when a dial fails. */
export interface DialFailure {
  readonly error: unknown;
  readonly phase: DialPhase;
  readonly address: string;
  readonly attempts: readonly DialAttempt[];
  readonly timeline: readonly TimelineEntry[];
  /** Set when the time ran out. */
  readonly timeoutMs?: number | undefined;
}

const OFFLINE = "host appears to be offline";

const SIGNALING_PHASES: readonly DialPhase[] = ["config", "offer", "signaling", "channel"];

/** The error that a dial rejects with: of the kind that tells what to do, and saying it. */
export function toDialError(failure: DialFailure): DialError {
  const { error, phase, address, attempts, timeline } = failure;
  if (error instanceof DialError) return error;
  const init = { phase, address, attempts, timeline, cause: error };
  if (failure.timeoutMs !== undefined) {
    return new DialTimeoutError(
      `Cannot dial ${address} within ${failure.timeoutMs} ms: the time ran out in phase "${phase}"` +
        ` (${PHASE_HINTS[phase]}). Raise timeoutMs if the network is slow`,
      init,
    );
  }
  const permission = permissionFlag(error);
  if (permission !== undefined) {
    return new DialPermissionError(
      `Cannot dial ${address}: the runtime does not permit it. Run deno with ${permission}`,
      init,
    );
  }
  const text = error instanceof ConnectError
    ? `[${Code[error.code]}] ${error.rawMessage}`
    : error instanceof Error
    ? error.message
    : String(error);
  if (error instanceof ConnectError) {
    if (error.code === Code.Unauthenticated || error.code === Code.PermissionDenied) {
      return new AuthenticationError(
        `Cannot dial ${address}: the server refused the credentials: ${text}. ` +
          "Check the key and its id, and that they are for this machine",
        init,
      );
    }
    if (error.rawMessage.startsWith(OFFLINE)) {
      return new HostOfflineError(
        `Cannot dial ${address}: the machine is offline: ${text}. Check that viam-server runs and has a network`,
        init,
      );
    }
    if (phase === "authenticate" && error.code === Code.Unimplemented) {
      return new AuthenticationError(
        `Cannot dial ${address}: the server takes no credentials: ${text}. Dial without credentials`,
        init,
      );
    }
    if (SIGNALING_PHASES.includes(phase)) {
      return new SignalingError(
        `Cannot dial ${address}: no WebRTC connection: ${text} (phase "${phase}": ${PHASE_HINTS[phase]})`,
        init,
      );
    }
  }
  return new DialError(`Cannot dial ${address}: ${text}`, init);
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

const PHASE_HINTS: Readonly<Record<DialPhase, string>> = {
  options: "checking the options",
  tls: "finding out whether the server speaks TLS",
  connect: "reaching the server",
  authenticate: "waiting for a token",
  config: "asking for ICE servers",
  engine: "loading the WebRTC engine",
  offer: "making the offer",
  signaling: "waiting for the machine's answer",
  channel: "waiting for the data channel: ICE found no way, or UDP is blocked",
};

/** The Deno flag that is missing, if that is what the error is about. */
function permissionFlag(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const flag = /--allow-(?:net|ffi|read|env|sys)/.exec(cause.message)?.[0];
    if (flag !== undefined) return flag;
    if (cause.name === "NotCapable") return "the permission that the cause names";
  }
  return undefined;
}
