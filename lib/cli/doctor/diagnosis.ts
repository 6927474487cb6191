import type { ChannelPath } from "../../channel/link.ts";
import { EXIT } from "../exit_code.ts";
import type { Rung } from "./ladder.ts";

/** The conclusion. */
export interface Diagnosis {
  readonly verdict: "well" | "ill";
  /** One plain sentence. */
  readonly sentence: string;
  readonly exitCode: number;
}

/**
 * Concludes from the steps.
 *
 * @param path The path of calls, if there is one.
 * @param answerMs The time of the first call.
 */
export function diagnose(
  address: string,
  rungs: readonly Rung[],
  path: ChannelPath | undefined,
  answerMs: number | undefined,
): Diagnosis {
  const broken = rungs.find(({ verdict }) => verdict === "failed");
  // If the first call was answered, through the local network, other failures do not matter.
  if (broken !== undefined && answerMs === undefined) {
    const { detail, problem = detail, advice, exitCode = EXIT.unreachable } = broken;
    return { verdict: "ill", sentence: `${problem}${advice === undefined ? "" : `; ${advice}`}.`, exitCode };
  }
  const way = path === undefined
    ? ""
    : path.kind === "direct"
    ? ` directly, by ${path.protocol}`
    : " over WebRTC";
  const speed = answerMs === undefined ? "" : `, and answers in ${answerMs.toFixed(1)} ms`;
  const notes = rungs.filter(({ verdict }) => verdict === "note" || verdict === "failed");
  const but = notes.length === 0 ? "" : `; see ${notes.map(({ name }) => name).join(" and ")}`;
  return {
    verdict: "well",
    sentence: `${address} can be reached${way}${speed}${but}.`,
    exitCode: EXIT.ok,
  };
}
