import { Code, ConnectError } from "@connectrpc/connect";

/** The text of a refusal that means that the machine does not know the call's session (protocol §6.2). */
export const SESSION_EXPIRED = "SESSION_EXPIRED";

/**
 * Tells whether a machine refused a call because it does not know its session, or knows it no longer. It does so
 * before it runs the method, and says it by `InvalidArgument` with exactly this text: there is no code or detail for
 * it. This is the one place that reads the text of a peer's error.
 *
 * Source: `session.StatusNoSession` of viam-server (rdk, session/context.go), and `isStatusNoSessionError` of its
 * client (robot/client/client_session.go).
 */
export function isSessionExpired(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.InvalidArgument &&
    error.rawMessage === SESSION_EXPIRED;
}
