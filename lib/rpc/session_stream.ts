import { ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";
import { isSessionExpired } from "../core/session/session_expired.ts";
import { SESSION_KEY } from "./call_sessions.ts";
import type { Call, CallListener, CallRequest, Carrier } from "./carrier.ts";

/** Bytes of a stream's messages that are kept to be sent again. */
const MAX_KEPT_BYTES = 256 * 1024;

/**
 * Opens streams that carry a session's id. A machine that does not know the session refuses a stream before it runs
 * the method; then the stream is opened once more with a new session, and what was sent is sent again.
 *
 * Source: `firstMessageClientStreamWrapper` of viam-server's client (rdk, robot/client/client_session.go), which keeps
 * all messages. Here a stream that has sent more than 256 KiB before the machine's answer ends with the refusal.
 *
 * @param renew Called when the machine refuses the session. Returns the id of a new one, if it keeps any.
 */
export function openerWithSession(
  carrier: Carrier,
  renew: () => string | undefined | Promise<string | undefined>,
): Pick<Carrier, "open"> {
  return { open: (request, listener) => openWithSession(carrier, renew, request, listener) };
}

function openWithSession(
  carrier: Carrier,
  renew: () => string | undefined | Promise<string | undefined>,
  request: CallRequest,
  listener: CallListener,
): Call {
  const openedAt = performance.now();
  /** What to send again; undefined once that is no longer possible, or needed. */
  let kept: Uint8Array[] | undefined = [];
  let keptBytes = 0;
  let isHalfClosed = false, isPaused = false, isAnswered = false, isOver = false;
  /** Between two tries: resolves with the end of that. */
  let between: PromiseWithResolvers<void> | undefined;

  let call = carrier.open(request, {
    headers(metadata) {
      isAnswered = true;
      listener.headers(metadata);
    },
    message(bytes) {
      kept = undefined;
      listener.message(bytes);
    },
    end(end) {
      if (kept !== undefined && isSessionExpired(end.error)) void openAgain(kept);
      else listener.end(end);
    },
  });

  async function openAgain(messages: readonly Uint8Array[]): Promise<void> {
    between = Promise.withResolvers();
    try {
      const id = await renew();
      if (isOver) return;
      call = carrier.open(requestWith(request, id, openedAt), {
        headers(metadata) {
          // Those of the refusal have been passed on, and nothing else can be.
          if (!isAnswered) listener.headers(metadata);
        },
        message: (bytes) => listener.message(bytes),
        end: (end) => listener.end(end),
      });
      if (isPaused) call.pause();
      for (const message of messages) call.send(message, false);
      if (isHalfClosed) call.halfClose();
    } catch (error) {
      if (!isOver) listener.end({ error: ConnectError.from(error), trailers: new Metadata() });
    } finally {
      kept = undefined;
      between.resolve();
      between = undefined;
    }
  }

  return {
    send(message, last) {
      isHalfClosed ||= last;
      if (kept !== undefined) {
        keptBytes += message.length;
        if (keptBytes <= MAX_KEPT_BYTES || between !== undefined) kept.push(message);
        else kept = undefined;
      }
      return between?.promise ?? call.send(message, last);
    },
    halfClose() {
      isHalfClosed = true;
      if (between === undefined) call.halfClose();
    },
    reset() {
      isOver = true;
      if (between === undefined) call.reset();
    },
    pause() {
      isPaused = true;
      call.pause();
    },
    resume() {
      isPaused = false;
      call.resume();
    },
  };
}

function requestWith(request: CallRequest, sessionId: string | undefined, openedAt: number): CallRequest {
  const metadata = new Metadata(request.metadata);
  if (sessionId === undefined) metadata.delete(SESSION_KEY);
  else metadata.set(SESSION_KEY, sessionId);
  const { timeoutMs } = request;
  // The second try has less time than the first.
  const left = timeoutMs === undefined ? undefined : Math.max(1, timeoutMs - (performance.now() - openedAt));
  return { ...request, metadata, timeoutMs: left };
}
