import { Code, ConnectError } from "@connectrpc/connect";

/** An error's message, without the code of a call's. */
export function messageOf(error: unknown): string {
  if (error instanceof ConnectError) return error.rawMessage;
  return error instanceof Error ? error.message : String(error);
}

/** An error in one line, with the code of a call's, and what to do if it was refused. */
export function describeError(error: unknown): string {
  if (!(error instanceof ConnectError)) return messageOf(error);
  const advice = error.code === Code.Unauthenticated
    ? "; check VIAM_API_KEY and VIAM_API_KEY_ID, or --credentials-file"
    : "";
  return `${Code[error.code]}: ${error.rawMessage}${advice}`;
}
