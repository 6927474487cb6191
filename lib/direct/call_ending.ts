import type { ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";
import type { CallEnd, CallListener } from "../rpc/carrier.ts";

/** A listener that receives one end, and nothing after it. */
export interface EndingListener extends CallListener {
  /** True once the call has ended or was reset. */
  readonly over: boolean;
  fail(error: ConnectError, trailers?: Metadata): void;
  /** Stops reporting. */
  mute(): void;
}

/** Keeps the contract of a listener for a carrier: headers once, and nothing after the end. */
export function ending(listener: CallListener): EndingListener {
  return new Ending(listener);
}

/** A class: five closures for every call cost more. */
class Ending implements EndingListener {
  readonly #listener: CallListener;
  over = false;

  constructor(listener: CallListener) {
    this.#listener = listener;
  }

  headers(read: () => Metadata): void {
    if (!this.over) this.#listener.headers(read);
  }

  message(bytes: Uint8Array): void {
    if (!this.over) this.#listener.message(bytes);
  }

  end(how: CallEnd): void {
    if (this.over) return;
    this.over = true;
    this.#listener.end(how);
  }

  fail(error: ConnectError, trailers: Metadata = new Metadata()): void {
    this.end({ error, trailers });
  }

  mute(): void {
    this.over = true;
  }
}
