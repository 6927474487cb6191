import { ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";
import { isSessionExpired } from "../core/session/session_expired.ts";
import { SESSION_KEY } from "./call_sessions.ts";
import type { Call, CallListener, CallRequest, Carrier } from "./carrier.ts";
import { HeldCall } from "./held_call.ts";

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
  carrier: Pick<Carrier, "open">,
  renew: () => string | undefined | Promise<string | undefined>,
): Pick<Carrier, "open"> {
  function open(request: CallRequest, listener: CallListener): Call {
    const held = new HeldCall();
    const { outbox } = held;
    let hasHeaders = false, isRetry = false;

    function attempt(request: CallRequest): void {
      held.attach(carrier.open(request, {
        headers(read) {
          // Those of the refusal have been passed on already, and only one set can be.
          if (!hasHeaders) listener.headers(read);
          hasHeaders = true;
        },
        message(bytes) {
          outbox.settle();
          listener.message(bytes);
        },
        end(end) {
          if (!isRetry && outbox.isRepeatable && isSessionExpired(end.error)) return void again();
          outbox.close();
          listener.end(end);
        },
      }));
      if (isRetry) outbox.settle();
    }

    async function again(): Promise<void> {
      isRetry = true;
      held.detach();
      try {
        const id = await renew();
        if (!held.isReset) attempt({ ...request, metadata: metadataWith(request.metadata, id) });
      } catch (error) {
        outbox.close();
        if (!held.isReset) listener.end({ error: ConnectError.from(error), trailers: new Metadata() });
      }
    }

    attempt(request);
    return held;
  }
  return { open };
}

function metadataWith(refused: Metadata, sessionId: string | undefined): Metadata {
  const metadata = new Metadata(refused);
  if (sessionId === undefined) metadata.delete(SESSION_KEY);
  else metadata.set(SESSION_KEY, sessionId);
  return metadata;
}
