import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";
import type { Call, CallListener } from "./carrier.ts";
import { Outbox } from "./outbox.ts";

/** A call that cannot be opened. Its end comes after `open` has returned. */
export function endedCall(error: ConnectError, listener: CallListener): Call {
  return heldCall(Promise.reject(error), listener);
}

/** A call that opens later, and perhaps again. What is done to it meanwhile is done then. */
export class HeldCall implements Call {
  readonly outbox = new Outbox();
  /** True once its caller has given it up. */
  isReset = false;
  #call: Call | undefined;
  #isPaused = false;

  /** Takes the call that was opened. */
  attach(call: Call): void {
    this.#call = call;
    if (this.#isPaused) call.pause();
    this.outbox.attach({
      write(message, last, sent) {
        const room = call.send(message, last);
        if (room === undefined) sent();
        else void room.then(sent);
      },
      halfClose: () => call.halfClose(),
    });
  }

  /** The call that was opened is over, and another is to come. */
  detach(): void {
    this.#call = undefined;
    this.outbox.detach();
  }

  send(message: Uint8Array, last: boolean): Promise<void> | undefined {
    return this.outbox.send(message, last);
  }

  halfClose(): void {
    this.outbox.halfClose();
  }

  reset(): void {
    this.isReset = true;
    this.outbox.close();
    this.#call?.reset();
  }

  pause(): void {
    this.#isPaused = true;
    this.#call?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#call?.resume();
  }
}

/** A call that opens once the promise says how. */
export function heldCall(opening: Promise<() => Call>, listener: CallListener): Call {
  const held = new HeldCall();
  opening.then((open) => {
    if (held.isReset) return;
    held.attach(open());
    held.outbox.settle();
  }, (error) => {
    held.outbox.close();
    if (held.isReset) return;
    listener.end({ error: ConnectError.from(error, Code.Unavailable), trailers: new Metadata() });
  });
  return held;
}
