import type { ChannelPath } from "../../channel/link.ts";
import { EXIT } from "../exit_code.ts";
import type { Rung } from "./ladder.ts";

/** What the doctor says at the end. */
export interface Diagnosis {
  readonly verdict: "well" | "ill";
  /** One plain sentence. */
  readonly sentence: string;
  readonly exitCode: number;
}

/**
 * Sums up a ladder.
 *
 * @param path The way that calls take, when there is one.
 * @param answerMs How long the first call took.
 */
export function diagnose(
  address: string,
  rungs: readonly Rung[],
  path: ChannelPath | undefined,
  answerMs: number | undefined,
): Diagnosis {
  const broken = rungs.find(({ verdict }) => verdict === "failed");
  // Where a way on the local network was found, what failed on the other does not matter.
  if (broken !== undefined && answerMs === undefined) {
    return {
      verdict: "ill",
      sentence: broken.sentence ?? `${address} cannot be used: ${broken.name}: ${broken.detail}.`,
      exitCode: broken.exitCode ?? EXIT.unreachable,
    };
  }
  const way = path === undefined
    ? ""
    : path.kind === "direct"
    ? ` directly, by ${path.protocol}`
    : " over WebRTC";
  const speed = answerMs === undefined ? "" : `, and answers in ${answerMs.toFixed(1)} ms`;
  const notes = rungs.filter(({ verdict }) => verdict === "note" || verdict === "failed").map(({ name }) =>
    name
  );
  const but = notes.length === 0 ? "" : `; look at ${notes.join(" and ")}`;
  return {
    verdict: "well",
    sentence: `${address} can be reached${way}${speed}${but}.`,
    exitCode: EXIT.ok,
  };
}

/** What is known when the data channel did not open. */
export interface ChannelEvidence {
  readonly host: string;
  /** Whether a datagram passes on this computer; undefined when that was not tried. */
  readonly udp: boolean | undefined;
  /** STUN and TURN servers that were asked, and those that answered. */
  readonly asked: number;
  readonly answering: number;
}

/** Why the data channel did not open, in one sentence. */
export function explainChannel({ host, udp, asked, answering }: ChannelEvidence): string {
  if (udp === false) {
    return "UDP is blocked on this computer, and WebRTC needs it; open it in the firewall, or dial with --direct.";
  }
  if (asked > 0 && answering === 0) {
    return "No STUN or TURN server answers, so this network seems to block UDP, and WebRTC needs it; let it out, " +
      "or dial with --direct.";
  }
  return `No way was found between this computer and ${host}; let UDP pass between them, use a TURN server, or dial ` +
    "with --direct.";
}
