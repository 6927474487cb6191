import { Code, ConnectError } from "@connectrpc/connect";
import { untilAborted, wait } from "../runtime/wait.ts";

/** Faults of signaling. */
export interface SignalingFaults {
  /** `OptionalWebRTCConfig` is `Unimplemented`, as on a server that does no signaling. */
  readonly noConfig?: boolean;
  /** Every offer ends with `NotFound` and the cloud's text for a machine that is offline. */
  readonly offline?: boolean;
  /** No offer is handed to an answerer: each ends with `DeadlineExceeded` after 10 s. */
  readonly neverAnswer?: boolean;
  /** Every offer ends with `Unknown` "error from answerer: " and this text. */
  readonly rejectOffers?: string;
  /** No ICE candidate is passed on in either direction, so peers that need them cannot connect. */
  readonly noCandidates?: boolean;
}

/** Faults of a machine. Several apply in the order of this list. */
export interface Faults {
  /** Limits the faults to calls for which it returns true; `path` is `/package.Service/Method`. */
  readonly only?: (path: string) => boolean;
  /**
   * After every so many calls, the last of them is not answered and every connection of the machine is dropped,
   * including peer connections. New ones are accepted.
   */
  readonly closeAfter?: number;
  /**
   * No call is answered. Without `only`, a new HTTP connection is accepted and never answered, even after this fault is
   * removed.
   */
  readonly silent?: boolean;
  /** Delay of every call before it is handled, in milliseconds. */
  readonly delayMs?: number;
  /** Every call ends with this error. */
  readonly refuse?: Code | { readonly code: Code; readonly message: string };
  /** Heartbeats of sessions are lost: neither handled nor answered. `only` does not apply. */
  readonly dropHeartbeats?: boolean;
  /** Faults of signaling, in addition. `only` does not apply. */
  readonly signaling?: SignalingFaults;
}

/**
 * Passes, delays or refuses a call, according to the current faults. Returns undefined if the call may go on at once.
 * Throws or rejects with the error that ends it.
 */
export type FaultGate = (path: string, signal: AbortSignal) => Promise<void> | undefined;

/**
 * Makes a gate.
 *
 * @param faults Returns the current faults.
 * @param drop Drops every connection.
 */
export function createFaultGate(faults: () => Faults, drop: () => void): FaultGate {
  let counted: Faults | undefined;
  let count = 0;

  function isLast(current: Faults): boolean {
    if (counted !== current) count = 0;
    counted = current;
    count++;
    if (count < (current.closeAfter ?? Infinity)) return false;
    count = 0;
    return true;
  }

  return (path, signal) => {
    const current = faults();
    if (current.only?.(path) === false) return undefined;
    if (isLast(current)) {
      drop();
      return untilAborted(signal);
    }
    if (current.silent === true) return untilAborted(signal);
    const { delayMs, refuse } = current;
    const decide = (): undefined => {
      if (refuse !== undefined) throw refusal(refuse);
    };
    return delayMs === undefined ? decide() : wait(delayMs, signal).then(decide);
  };
}

function refusal(refuse: NonNullable<Faults["refuse"]>): ConnectError {
  return typeof refuse === "number"
    ? new ConnectError(`this machine refuses every call with ${Code[refuse]}`, refuse)
    : new ConnectError(refuse.message, refuse.code);
}
