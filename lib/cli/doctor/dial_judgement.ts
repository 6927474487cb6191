import { describeCandidates, type TimelineEntry } from "../../core/dial/timeline.ts";
import { DialError, HostOfflineError, IceError } from "../../errors.ts";
import { messageOf } from "../error_text.ts";
import { exitCodeOf } from "../exit_code.ts";
import { failed, type Finding } from "./ladder.ts";

/** A dial that has ended, and what earlier steps found about its network. */
export interface DialEvidence {
  readonly entries: readonly TimelineEntry[];
  /** The error of a failed dial. */
  readonly failure: unknown;
  /** The machine's name in signaling. */
  readonly host: string;
  /** True if datagrams pass on this computer; undefined if that was not tried. */
  readonly udp: boolean | undefined;
  /** STUN and TURN servers that were asked, and those that answered. */
  readonly asked: number;
  readonly answering: number;
}

/** Judges whether the machine accepted the offer. */
export function judgeAnswer({ entries, failure, host }: DialEvidence): Finding {
  const answered = entries.find(({ phase, ok, durationMs }) =>
    phase === "signaling" && ok && durationMs !== undefined
  );
  if (answered !== undefined) {
    return { verdict: "ok", detail: "is online, and answered", ms: answered.durationMs! };
  }
  if (failure === undefined) return { verdict: "ok", detail: "is online" };
  if (failure instanceof HostOfflineError) {
    return failed(`${host} is offline`, {
      problem: `${host} is offline: the signaling server knows it, but it is not connected`,
      advice: "check that viam-server is running there and has a network",
    });
  }
  if (failure instanceof DialError && failure.phase === "signaling") {
    const detail = messageOf(failure.cause ?? failure);
    return failed(detail, {
      problem: `${host} does not answer the offer (${detail})`,
      advice: "check that viam-server is running there, and restart it if it is",
    });
  }
  return judgeFailure(failure);
}

/** Judges whether ICE found a path. */
export function judgeChannel(evidence: DialEvidence): Finding {
  const { entries, failure } = evidence;
  const opened = entries.findLast(({ phase, ok, durationMs }) =>
    phase === "channel" && ok && durationMs !== undefined
  );
  if (opened !== undefined) {
    const { detail, candidates, durationMs } = opened;
    const tried = candidates === undefined ? "" : `; ${describeCandidates(candidates)}`;
    return { verdict: "ok", detail: `${detail}${tried}`, ms: durationMs! };
  }
  if (failure === undefined) return { verdict: "ok", detail: "open" };
  if (failure instanceof IceError || (failure instanceof DialError && failure.phase === "channel")) {
    const tried = entries.findLast(({ candidates }) => candidates !== undefined)?.candidates;
    return {
      verdict: "failed",
      detail: [
        messageOf(failure.cause ?? failure),
        ...tried === undefined ? [] : [describeCandidates(tried)],
      ].join("; "),
      ...explainChannel(evidence),
    };
  }
  return judgeFailure(failure);
}

/** Explains why the data channel did not open. */
export function explainChannel(
  { host, udp, asked, answering }: Omit<DialEvidence, "entries" | "failure">,
): { readonly problem: string; readonly advice: string } {
  if (udp === false) {
    return {
      problem: "UDP is blocked on this computer, and WebRTC needs it",
      advice: "allow it in the firewall, or use --direct",
    };
  }
  if (asked > 0 && answering === 0) {
    return {
      problem: "No STUN or TURN server answers, so this network seems to block UDP, which WebRTC needs",
      advice: "allow it, or use --direct",
    };
  }
  return {
    problem: `No network path was found between this computer and ${host}`,
    advice: "allow UDP between them, use a TURN server, or use --direct",
  };
}

/** Judges a dial that failed before WebRTC. */
export function judgeFailure(failure: unknown): Finding {
  return failed(messageOf(failure), { exitCode: exitCodeOf(failure) });
}
