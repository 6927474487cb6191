import { ConnectError } from "@connectrpc/connect";
import { AuthenticationError, DialError, DialPermissionError } from "../errors.ts";
import { DialOptionsError } from "../options/options_error.ts";
import { UsageError } from "./arguments.ts";

/** How the command line ends. */
export const EXIT = {
  /** It did what it was asked. */
  ok: 0,
  /** It failed in a way that none of the others is. */
  failed: 1,
  /** The command line is wrong; nothing was done. */
  usage: 2,
  /** The machine cannot be reached. */
  unreachable: 3,
  /** The credentials are refused, or missing. */
  refused: 4,
  /** The runtime does not permit it. */
  forbidden: 5,
  /** A call ended with another status than OK, or no ping was answered. */
  callFailed: 6,
  /** The user interrupted it. */
  interrupted: 130,
} as const;

/** The exit code that an error stands for. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError || error instanceof DialOptionsError) return EXIT.usage;
  if (error instanceof DialPermissionError) return EXIT.forbidden;
  if (error instanceof AuthenticationError) return EXIT.refused;
  if (error instanceof DialError) return EXIT.unreachable;
  if (error instanceof ConnectError) return EXIT.callFailed;
  return EXIT.failed;
}
