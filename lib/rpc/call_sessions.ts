import type { DescMethod } from "@bufbuild/protobuf";
import { isSessionExpired } from "../core/session/session_expired.ts";
import { abortable } from "../runtime/abortable.ts";

/** The metadata key of a session's id (protocol §6.2). */
export const SESSION_KEY = "viam-sid";

/** Gives the session of a channel's monitored calls (protocol §6.2). */
export interface CallSessions {
  /** The id that a call of this method carries; a promise while a session is started, undefined when it carries none. */
  idFor(method: DescMethod): string | undefined | Promise<string | undefined>;
  /** The machine has answered a call that was sent at `sentAt` with this id: that extended the session. */
  answered(id: string, sentAt: number): void;
  /** The machine does not know this session any more, and refused a call with it before it ran the method. */
  expired(id: string): void;
}

/** The session id for a call that carries none of its own. */
export function sessionFor(
  method: DescMethod,
  sessions: CallSessions | undefined,
  metadata: Headers,
  signal: AbortSignal | undefined,
): string | undefined | Promise<string | undefined> {
  if (sessions === undefined || metadata.has(SESSION_KEY)) return undefined;
  return abortable(sessions.idFor(method), signal);
}

/**
 * Makes a unary call with its session: once more with a new one, if the machine refused it for its session, which it
 * does before it runs the method.
 *
 * Source: `sessionUnaryClientInterceptor` of viam-server's client (rdk, robot/client/client_session.go).
 *
 * @param send Makes the call with this id.
 */
export async function sendInSession<T>(
  sessions: CallSessions,
  method: DescMethod,
  metadata: Headers,
  signal: AbortSignal | undefined,
  send: (id: string | undefined) => Promise<T>,
): Promise<T> {
  for (let isRetry = false;; isRetry = true) {
    const pending = sessionFor(method, sessions, metadata, signal);
    const id = pending instanceof Promise ? await pending : pending;
    if (id === undefined) return await send(undefined);
    const sentAt = performance.now();
    try {
      const answer = await send(id);
      sessions.answered(id, sentAt);
      return answer;
    } catch (error) {
      if (!isSessionExpired(error)) throw error;
      sessions.expired(id);
      if (isRetry) throw error;
    }
  }
}
