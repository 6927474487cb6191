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
  let over = false;
  const end = (how: CallEnd) => {
    if (over) return;
    over = true;
    listener.end(how);
  };
  return {
    get over() {
      return over;
    },
    headers(metadata) {
      if (!over) listener.headers(metadata);
    },
    message(bytes) {
      if (!over) listener.message(bytes);
    },
    end,
    fail: (error, trailers = new Metadata()) => end({ error, trailers }),
    mute() {
      over = true;
    },
  };
}
