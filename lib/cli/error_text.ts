import { Code, ConnectError } from "@connectrpc/connect";

/** An error's message, without the code of a call's. */
export function messageOf(error: unknown): string {
  if (error instanceof ConnectError) return error.rawMessage;
  return error instanceof Error ? error.message : String(error);
}

/** An error in one line, with the code of a call's. */
export function describeError(error: unknown): string {
  return error instanceof ConnectError ? `${Code[error.code]}: ${error.rawMessage}` : messageOf(error);
}
