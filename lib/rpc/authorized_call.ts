import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";
import type { Authorization } from "./authorization.ts";
import type { Call, CallEnd, CallListener, CallRequest, Carrier } from "./carrier.ts";

/** What opens calls. */
export type Opener = Pick<Carrier, "open">;

/**
 * Opens streams with a channel's token. One that the server refuses as `Unauthenticated` is opened once more with a
 * new token, if no message has come, and what was sent can be sent again: the one message of a server-streaming call,
 * or nothing yet.
 *
 * @param token Of `authorization`, for the first try.
 */
export function openerWithToken(opener: Opener, authorization: Authorization, token: string): Opener {
  return { open: (request, listener) => openAuthorized(opener, request, listener, authorization, token) };
}

function openAuthorized(
  opener: Opener,
  request: CallRequest,
  listener: CallListener,
  authorization: Authorization,
  token: string,
): Call {
  const openedAt = performance.now();
  const single = request.kind === "server_streaming";
  /** Sent, and to be sent again if need be: the one message there is, or those that wait for a new token. */
  let kept: Uint8Array[] = [];
  let halfClosed = false, paused = false;
  /** What was sent cannot be sent again. */
  let spent = false;
  let headed = false, heard = false, retried = false, renewing = false, abandoned = false;
  let room: PromiseWithResolvers<void> | undefined;

  function start(using: string): Call {
    return opener.open(requestWith(request, using, openedAt), {
      headers(metadata) {
        // Those of a refusal may have come already, and are as good as any.
        if (!headed) listener.headers(metadata);
        headed = true;
      },
      message(bytes) {
        heard = true;
        listener.message(bytes);
      },
      end(end) {
        if (end.error?.code !== Code.Unauthenticated || heard || retried) return listener.end(end);
        if (!spent) return void retry(using, end);
        authorization.refused(using);
        listener.end(end);
      },
    });
  }

  async function retry(stale: string, refusal: CallEnd): Promise<void> {
    retried = true;
    renewing = true;
    let end = refusal;
    const renewed = await authorization.renew(stale).catch((error) => {
      end = { error: ConnectError.from(error), trailers: new Metadata() };
      return undefined;
    });
    renewing = false;
    if (abandoned) return;
    if (renewed === undefined) {
      listener.end(end);
    } else {
      call = start(renewed);
      if (paused) call.pause();
      const last = kept.length - 1;
      for (const [index, message] of kept.entries()) call.send(message, halfClosed && index === last);
      if (halfClosed && last < 0) call.halfClose();
      spent ||= !single && last >= 0;
    }
    kept = [];
    room?.resolve();
  }

  let call = start(token);
  return {
    send(message, last) {
      if (abandoned) return undefined;
      halfClosed ||= last;
      if (renewing || (single && !retried)) kept.push(message);
      if (renewing) {
        room ??= Promise.withResolvers<void>();
        return room.promise;
      }
      spent ||= !single;
      return call.send(message, last);
    },
    halfClose() {
      halfClosed = true;
      if (!renewing) call.halfClose();
    },
    reset() {
      abandoned = true;
      room?.resolve();
      if (!renewing) call.reset();
    },
    pause() {
      paused = true;
      if (!renewing) call.pause();
    },
    resume() {
      paused = false;
      if (!renewing) call.resume();
    },
  };
}

function requestWith(request: CallRequest, token: string, openedAt: number): CallRequest {
  const metadata = new Metadata(request.metadata);
  // The token is the channel's business: metadata of a call never takes it away.
  metadata.set("authorization", `Bearer ${token}`);
  const { timeoutMs } = request;
  // A second try has less time than the first.
  const left = timeoutMs === undefined ? undefined : Math.max(1, timeoutMs - (performance.now() - openedAt));
  return { ...request, metadata, timeoutMs: left };
}
