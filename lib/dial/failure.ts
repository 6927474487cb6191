import { Code, ConnectError } from "@connectrpc/connect";
import { dialAdvice, PHASE_WAITS } from "../core/dial/dial_advice.ts";
import { failureReason } from "../core/dial/failure_reason.ts";
import { messageOf } from "../core/error_message.ts";
import { ExchangeError } from "../core/ice/exchange_error.ts";
import { connectionReason, isProxyFailure } from "../core/net/connection_error.ts";
import { permissionAdvice, permissionOf } from "../core/dial/permission.ts";
import type { DialPhase, TimelineEntry } from "../core/dial/timeline.ts";
import {
  AuthenticationError,
  DialError,
  type DialErrorInit,
  DialPermissionError,
  DialTimeoutError,
  HostOfflineError,
  IceError,
  InsecureConnectionError,
  SignalingError,
} from "../errors.ts";

/** The facts of a failed dial. */
export interface DialFailure extends Required<Omit<DialErrorInit, "cause">> {
  readonly error: unknown;
  /** The proxy that leads to the server, in words. */
  readonly proxy?: string | undefined;
  /** Set when the time ran out. */
  readonly timeoutMs?: number | undefined;
  /** True if there were credentials or a token. */
  readonly authenticated?: boolean;
}

const SIGNALING_PHASES: readonly DialPhase[] = ["config", "offer", "signaling", "channel"];

/** Makes the error that a dial rejects with: of the matching class, with advice. */
export function toDialError(failure: DialFailure): DialError {
  const { error, phase, address, attempts, timeline, timeoutMs } = failure;
  const init = { phase, address, attempts, timeline, cause: error };
  // It was made before the attempt was over, and lacks the facts of the whole dial.
  if (error instanceof InsecureConnectionError) {
    const { message, phase, authenticated } = error;
    return new InsecureConnectionError(message, { phase, address, attempts, timeline, authenticated });
  }
  const reason = timeoutMs === undefined ? failureReason(error) : "unknown";
  const byProxy = isProxyFailure(error);
  // A TURN server that cannot be reached is found out in any of these phases, and is the matter of none but the offer.
  const concerned = error instanceof ExchangeError && error.reason === "relay" ? "offer" : phase;
  const advice = dialAdvice(reason === "ice" && byProxy ? connectionReason(error)! : reason, concerned);
  const isReaching = failure.proxy !== undefined && (phase === "connect" || phase === "tls");
  const through = isReaching && !byProxy ? ` through the proxy ${failure.proxy}` : "";
  if (timeoutMs !== undefined) {
    const what = isReaching ? "Check that the proxy runs, and that it leads to the machine" : advice;
    return new DialTimeoutError(
      `Cannot dial ${address} within ${timeoutMs} ms: the time ran out in phase "${phase}", ` +
        `${PHASE_WAITS[phase]}${through}${
          failedRemarks(timeline, phase)
        }. ${what}; if the network is slow, raise timeoutMs`,
      init,
    );
  }
  const text = messageOf(error).replace(/\.$/, "") + (through && `,${through}`);
  const failed = (why: string, what = advice) => `Cannot dial ${address}: ${why}: ${text}. ${what}`;
  switch (reason) {
    case "permission": {
      const permission = permissionOf(error)!;
      const { flag, scope } = permission;
      const what = `${flag.replace("--allow-", "")} access${scope === undefined ? "" : ` to ${scope}`}`;
      return new DialPermissionError(
        `Cannot dial ${address}: Deno does not permit ${what}. ${permissionAdvice(permission, phase)}`,
        { ...init, flag },
      );
    }
    case "credentials":
      return new AuthenticationError(
        failure.authenticated === false
          ? failed("the server wants credentials", "Pass some, such as DialOptions.withApiKey(key, id)")
          : failed(
            "the server refused the credentials",
            "Check the key and its id, and that they are for this machine",
          ),
        init,
      );
    case "offline":
      return new HostOfflineError(
        failed("the machine is offline", "Check that viam-server runs there and has a network"),
        init,
      );
    case "ice":
      return new IceError(failed("no path to the machine was found"), init);
  }
  if (error instanceof ConnectError) {
    if (phase === "authenticate" && error.code === Code.Unimplemented) {
      return new AuthenticationError(
        failed("the server takes no credentials", "Dial it without credentials"),
        init,
      );
    }
    if (SIGNALING_PHASES.includes(phase)) {
      return new SignalingError(failed(`no WebRTC connection, in phase "${phase}"`), init);
    }
  }
  return new DialError(failed(`it failed in phase "${phase}"`), init);
}

/** Lists the failures beside the step that the time ran out in: of a TURN server, or of the proxy in front of it. */
function failedRemarks(timeline: readonly TimelineEntry[], during: DialPhase): string {
  const remarks = timeline.filter(({ phase, ok, durationMs, candidates }) =>
    phase === during && !ok && durationMs === undefined && candidates === undefined
  );
  const details = new Set(remarks.map(({ detail }) => detail));
  return details.size === 0 ? "" : ` (${[...details].join("; ")})`;
}

/** Makes the refusal to continue without TLS (Python's `InsecureConnectionError`; protocol §2.7). */
export function insecureConnection(
  { proxy, ...failure }: Omit<DialFailure, "error">,
  target: string,
  authenticated: boolean,
): InsecureConnectionError {
  const text = authenticated
    ? `Requested address ${target} is insecure and will not send credentials`
    : `Requested address ${target} is insecure`;
  const answer = proxy === undefined
    ? "It speaks no TLS"
    : `It speaks no TLS, or the proxy ${proxy} answers in its place`;
  const hint = authenticated
    ? "If the network is trusted, set insecure or allowInsecureWithCredsDowngrade"
    : "If that is right, set insecure or allowInsecureDowngrade";
  return new InsecureConnectionError(`${text}. ${answer}. ${hint}`, { ...failure, authenticated });
}
