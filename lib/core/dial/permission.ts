import { causesOf } from "../error_message.ts";
import type { DialPhase } from "./timeline.ts";

/** A permission that Deno lacked, such as `--allow-net`, and its scope. */
export interface MissingPermission {
  /** The flag that grants it. */
  readonly flag: string;
  /** Its scope, such as `127.0.0.1:8080` or a path; undefined for everything. */
  readonly scope: string | undefined;
}

/** Finds the missing permission that an error, or one of its causes, reports. */
export function permissionOf(error: unknown): MissingPermission | undefined {
  return causesOf(error).map(({ message }) => missingPermission(message)).find((one) => one !== undefined);
}

/** Parses refusals of Deno such as: Requires net access to "x", run again with the --allow-net flag. */
export function missingPermission(message: string): MissingPermission | undefined {
  const match =
    /Requires (\w+) access(?: to (?:"([^"]+)"|<([^>]+)>))?, run again with the (--allow-[a-z]+) flag/.exec(
      message,
    );
  return match === null ? undefined : { flag: match[4]!, scope: match[2] ?? match[3] };
}

/** Advises how to start Deno instead. */
export function permissionAdvice({ flag, scope }: MissingPermission, phase: DialPhase): string {
  const exact = scope === undefined || /[\s,]/.test(scope) ? flag : `${flag}=${scope}, or with ${flag}`;
  const also = phase === "engine"
    ? "; WebRTC needs --allow-ffi and --allow-read for its engine, disableWebrtc dials without it"
    : flag === "--allow-read" || flag === "--allow-write"
    ? "; a Unix socket needs --allow-read and --allow-write"
    : "";
  return `Run deno with ${exact}${also}`;
}
