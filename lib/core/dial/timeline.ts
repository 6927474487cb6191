import { type Candidate, type CandidatePair, describeCandidate } from "../ice/candidate.ts";

/** The steps of a dial. */
export type DialPhase =
  /** Checks options and address, and loads what the options need. */
  | "options"
  /** Looks for the machine on the local network. */
  | "mdns"
  /** Finds out whether the server speaks TLS. */
  | "tls"
  /** Reaches the server, and learns which protocol it speaks. */
  | "connect"
  /** Fetches a token. */
  | "authenticate"
  /** Asks for ICE servers. */
  | "config"
  /** Loads the WebRTC engine. */
  | "engine"
  /** Makes the offer. */
  | "offer"
  /** Sends the offer and waits for the answer. */
  | "signaling"
  /** Brings up ICE, DTLS and SCTP, until data channel 0 is open. */
  | "channel";

/** The candidates that the two ends could try with each other. */
export interface TimelineCandidates {
  /** Candidates of this computer. */
  readonly local: readonly Candidate[];
  /** Candidates of the machine. */
  readonly remote: readonly Candidate[];
}

/** Lists candidates in one line. */
export function describeCandidates({ local, remote }: TimelineCandidates): string {
  const list = (candidates: readonly Candidate[]) => candidates.map(describeCandidate).join(", ") || "none";
  return `candidates here: ${list(local)}; of the machine: ${list(remote)}`;
}

/** One step, or a remark. */
export interface TimelineEntry {
  /** The step that it belongs to. */
  readonly phase: DialPhase;
  /** Milliseconds from the start of the dial. */
  readonly atMs: number;
  /** Duration of the step; undefined for a remark, and for a step that did not end. */
  readonly durationMs?: number;
  /**
   * The round trips that the step's protocols take at least, where that is known: TCP, TLS, and each request with its
   * answer. Steps may run beside each other.
   */
  readonly roundTrips?: number;
  /** The result, in a few words. */
  readonly detail: string;
  /** True if it succeeded. */
  readonly ok: boolean;
  /** The candidates of both ends, at the end of the step "channel", whether it succeeded or not. */
  readonly candidates?: TimelineCandidates;
  /** The chosen pair, if the step "channel" succeeded and the engine reports it. */
  readonly pair?: CandidatePair;
}

/** Formats one line for each entry, for error messages and logs. */
export function formatTimeline(entries: readonly TimelineEntry[]): string {
  return entries.map((entry) => {
    const at = `${entry.atMs.toFixed(1).padStart(8)} ms`;
    const count = entry.roundTrips;
    const trips = count === undefined ? "" : `, ${count} round trip${count === 1 ? "" : "s"}`;
    const took = entry.durationMs === undefined ? "" : ` (${entry.durationMs.toFixed(1)} ms${trips})`;
    return `${at}  ${entry.ok ? " " : "!"} ${entry.phase}: ${entry.detail}${took}`;
  }).join("\n");
}
