import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";
import type { Call, CallListener } from "./carrier.ts";
import { Outbox, type Outlet } from "./outbox.ts";

/** A call that cannot be opened. Its end comes after `open` has returned. */
export function endedCall(error: ConnectError, listener: CallListener): Call {
  return heldCall(Promise.reject(error), listener);
}

/** Delivers to a call. */
export function outletOf(call: Call): Outlet {
  return {
    write(message, last, sent) {
      const room = call.send(message, last);
      if (room === undefined) sent();
      else void room.then(sent);
    },
    halfClose: () => call.halfClose(),
  };
}

/** A call that opens later. What is done to it meanwhile is done then. */
export function heldCall(opening: Promise<() => Call>, listener: CallListener): Call {
  const outbox = new Outbox();
  let call: Call | undefined;
  let isReset = false, isPaused = false;
  opening.then((open) => {
    if (isReset) return;
    const opened = call = open();
    if (isPaused) opened.pause();
    outbox.attach(outletOf(opened));
    outbox.settle();
  }, (error) => {
    outbox.close();
    if (!isReset) {
      listener.end({ error: ConnectError.from(error, Code.Unavailable), trailers: new Metadata() });
    }
  });
  return {
    send: (message, last) => outbox.send(message, last),
    halfClose: () => outbox.halfClose(),
    reset() {
      isReset = true;
      outbox.close();
      call?.reset();
    },
    pause() {
      isPaused = true;
      call?.pause();
    },
    resume() {
      isPaused = false;
      call?.resume();
    },
  };
}
