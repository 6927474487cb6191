import { Code, ConnectError } from "@connectrpc/connect";
import { AuthenticationError, DialError, DialPermissionError } from "../errors.ts";
import { DialOptionsError } from "../options/options_error.ts";
import { UsageError } from "./arguments.ts";

/** The exit codes of the command line. */
export const EXIT = {
  /** The command succeeded. */
  ok: 0,
  /** Any other failure. */
  failed: 1,
  /** The command line is invalid; nothing was done. */
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

/** Returns the exit code of an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError || error instanceof DialOptionsError) return EXIT.usage;
  if (error instanceof DialPermissionError) return EXIT.forbidden;
  if (error instanceof AuthenticationError) return EXIT.refused;
  if (error instanceof DialError) return EXIT.unreachable;
  if (error instanceof ConnectError) {
    return error.code === Code.Unauthenticated || error.code === Code.PermissionDenied
      ? EXIT.refused
      : EXIT.callFailed;
  }
  return EXIT.failed;
}
