import { Code, ConnectError } from "@connectrpc/connect";
import { untilAborted, wait } from "../runtime/wait.ts";

/** What goes wrong in signaling. */
export interface SignalingFaults {
  /** `OptionalWebRTCConfig` is `Unimplemented`, as on a server that does no signaling. */
  readonly noConfig?: boolean;
  /** Every offer ends with `NotFound` and the cloud's text for a machine that is offline. */
  readonly offline?: boolean;
  /** No offer is handed to an answerer: each ends with `DeadlineExceeded` after 10 s. */
  readonly neverAnswer?: boolean;
  /** Every offer ends with `Unknown` "error from answerer: " and this text. */
  readonly rejectOffers?: string;
  /** No ICE candidate is passed on, either way: peers that need them do not find each other. */
  readonly noCandidates?: boolean;
}

/** What goes wrong on a machine. Of several, each takes its turn in the order of this list. */
export interface Faults {
  /** Only calls for which this returns true go wrong; `path` is `/package.Service/Method`. */
  readonly only?: (path: string) => boolean;
  /**
   * Every time this many calls have arrived, the last of them is not answered, and every connection of the machine
   * is dropped, peer connections too. New ones are accepted.
   */
  readonly closeAfter?: number;
  /**
   * No call is answered. Without `only`, a new HTTP connection is accepted and hears nothing, whatever it says, even
   * after this fault has been taken away.
   */
  readonly silent?: boolean;
  /** Every call waits so long before it is looked at, in milliseconds. */
  readonly delayMs?: number;
  /** Every call ends with this error. */
  readonly refuse?: Code | { readonly code: Code; readonly message: string };
  /** No heartbeat of a session is heard or answered, as if it were lost. `only` has no say in it. */
  readonly dropHeartbeats?: boolean;
  /** What goes wrong in signaling, on top. `only` has no say in it. */
  readonly signaling?: SignalingFaults;
}

/** Lets calls pass, holds them or refuses them, as the faults of the moment have it. */
export interface FaultGate {
  /** Undefined when the call may go on at once. Throws or rejects with what ends it. */
  admit(path: string, signal: AbortSignal): Promise<void> | undefined;
}

/**
 * Makes a gate.
 *
 * @param faults The faults of the moment.
 * @param drop Drops every connection.
 */
export function createFaultGate(faults: () => Faults, drop: () => void): FaultGate {
  let counted: Faults | undefined;
  let count = 0;

  function isLast(current: Faults): boolean {
    if (counted !== current) {
      counted = current;
      count = 0;
    }
    count++;
    if (count < (current.closeAfter ?? Infinity)) return false;
    count = 0;
    return true;
  }

  return {
    admit(path, signal) {
      const current = faults();
      if (current.only?.(path) === false) return undefined;
      if (isLast(current)) {
        drop();
        return untilAborted(signal);
      }
      if (current.silent === true) return untilAborted(signal);
      const { delayMs, refuse } = current;
      if (delayMs === undefined) {
        if (refuse !== undefined) throw refusal(refuse);
        return undefined;
      }
      return wait(delayMs, signal).then(() => {
        if (refuse !== undefined) throw refusal(refuse);
      });
    },
  };
}

function refusal(refuse: NonNullable<Faults["refuse"]>): ConnectError {
  return typeof refuse === "number"
    ? new ConnectError(`this machine refuses every call with ${Code[refuse]}`, refuse)
    : new ConnectError(refuse.message, refuse.code);
}
