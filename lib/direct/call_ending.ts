import type { ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";
import type { CallEnd, CallListener } from "../rpc/carrier.ts";

/**
 * Keeps the contract of a listener for a carrier: one end, and nothing after it. A class: five closures for every call
 * cost more.
 */
export class EndingListener implements CallListener {
  readonly #listener: CallListener;
  /** True once the call has ended or was reset. */
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

  /** Stops reporting. */
  mute(): void {
    this.over = true;
  }
}
