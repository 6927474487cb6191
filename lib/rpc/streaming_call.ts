import { Code, ConnectError } from "@connectrpc/connect";
import { messageOf } from "../core/error_message.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import type { TrafficCounts } from "../core/grpc/traffic_counts.ts";
import { addHeaders } from "./add_headers.ts";
import type { CallRequest, Carrier } from "./carrier.ts";
import { ReceiveQueue } from "./receive_queue.ts";

/** A streaming call to make. */
export interface StreamingCall<I, O> {
  readonly carrier: Pick<Carrier, "open">;
  readonly request: CallRequest;
  readonly input: AsyncIterable<I>;
  readonly serialize: (message: I) => Uint8Array;
  readonly parse: (bytes: Uint8Array) => O;
  readonly signal: AbortSignal;
  /** Most bytes that wait for a slow reader. */
  readonly maxBufferedBytes: number;
  readonly counts: TrafficCounts;
  /** Makes the error that the call ends with of the one that the carrier reports. */
  readonly errorOf: (error: ConnectError) => ConnectError;
  /** Called once the call is over on the wire, read or not, in a turn of its own. */
  readonly onEnd: (error: unknown) => void;
}

/** Answer of a streaming call. */
export interface StreamingAnswer<O> {
  readonly headers: Promise<Metadata>;
  readonly messages: AsyncIterator<O>;
  /** Filled when the call ends. */
  readonly trailers: Metadata;
  /** Ends the call because its reader has left. */
  readonly leave: () => void;
}

/** Opens a call, sends its input, and queues what comes for the reader. */
export function startStreamingCall<I, O>(options: StreamingCall<I, O>): StreamingAnswer<O> {
  const { counts, signal } = options;
  const headers = Promise.withResolvers<Metadata>();
  headers.promise.catch(() => {}); // the reader may have left
  const trailers = new Metadata();
  let over = false;
  let answered: Metadata | undefined;

  const received = new ReceiveQueue<O>(options.parse, options.maxBufferedBytes, {
    ended: (end) => addHeaders(trailers, end.trailers),
    refused: abandon,
  });
  const call = options.carrier.open(options.request, {
    headers(read) {
      answered = read();
      headers.resolve(answered);
    },
    message(bytes) {
      counts.received(bytes.length);
      received.push(bytes);
    },
    end({ error: reported, trailers }) {
      const error = reported === undefined ? undefined : options.errorOf(reported);
      finish(error);
      if (error !== undefined) addHeaders(error.metadata, answered);
      received.end({ error, trailers });
      if (error === undefined) headers.resolve(new Metadata());
      else headers.reject(error);
    },
  });
  received.attach(call);
  counts.started++;
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  void send();

  function abort(): void {
    abandon(signal.reason);
  }

  /** Ends the call on this side. */
  function abandon(reason: unknown): void {
    if (!over) {
      finish(reason);
      call.reset();
      headers.reject(reason);
    }
    received.fail(reason);
  }

  function finish(error: unknown): void {
    over = true;
    counts.ended(error);
    signal.removeEventListener("abort", abort);
    queueMicrotask(() => options.onEnd(error));
  }

  async function send(): Promise<void> {
    try {
      const iterator = options.input[Symbol.asyncIterator]();
      while (!over) {
        const next = await iterator.next();
        if (over) return;
        if (next.done === true) return call.halfClose();
        const bytes = options.serialize(next.value);
        counts.sent(bytes.length);
        const room = call.send(bytes, false);
        if (room !== undefined) await room;
      }
    } catch (error) {
      // Once the server has ended the call, its answer counts, and the input no longer does.
      if (over) return;
      abandon(
        error instanceof ConnectError
          ? error
          : new ConnectError(`cannot send: ${messageOf(error)}`, Code.Unknown, undefined, undefined, error),
      );
    }
  }

  return {
    headers: headers.promise,
    messages: received,
    trailers,
    leave: () => abandon(new ConnectError("the reader left the stream", Code.Canceled)),
  };
}
