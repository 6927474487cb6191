/** The steps of a dial. */
export type DialPhase =
  /** Options and address are checked. */
  | "options"
  /** The machine is looked for on the local network. */
  | "mdns"
  /** Whether the server speaks TLS is found out. */
  | "tls"
  /** The server is reached, and what it speaks is learnt. */
  | "connect"
  /** A token is fetched. */
  | "authenticate"
  /** ICE servers are asked for. */
  | "config"
  /** The WebRTC engine is loaded. */
  | "engine"
  /** The offer is made. */
  | "offer"
  /** The offer is sent, and the answer awaited. */
  | "signaling"
  /** ICE, DTLS and SCTP come up until data channel 0 is open. */
  | "channel";

/** One step, or a remark. */
export interface TimelineEntry {
  /** What was done. */
  readonly phase: DialPhase;
  /** Milliseconds from the start of the dial. */
  readonly atMs: number;
  /** How long the step took; undefined for a remark, and for a step that did not end. */
  readonly durationMs?: number;
  /** How it went, in a few words. */
  readonly detail: string;
  /** Whether it went well. */
  readonly ok: boolean;
}

/** One line for each entry, for error messages and logs. */
export function formatTimeline(entries: readonly TimelineEntry[]): string {
  return entries.map((entry) => {
    const at = `${entry.atMs.toFixed(1).padStart(8)} ms`;
    const took = entry.durationMs === undefined ? "" : ` (${entry.durationMs.toFixed(1)} ms)`;
    return `${at}  ${entry.ok ? " " : "!"} ${entry.phase}: ${entry.detail}${took}`;
  }).join("\n");
}
