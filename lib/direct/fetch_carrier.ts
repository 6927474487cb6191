import { Code, ConnectError } from "@connectrpc/connect";
import { connectionError } from "../core/connection_error.ts";
import { COMPRESSED, encodeEnvelope, EnvelopeReader, TRAILERS } from "../core/envelope.ts";
import { endOf, formatTimeout, parseTrailers, refuseResponse } from "../core/grpc_status.ts";
import { Metadata } from "../core/metadata.ts";
import type { Call, CallListener, CallRequest, Carrier, CarrierLimits } from "../rpc/carrier.ts";
import { ending, type EndingListener } from "./call_ending.ts";
import { type Endpoint, originOf, targetOf } from "./endpoint.ts";
import { createRuntimeFetch, type FetchVersion } from "./runtime_fetch.ts";

/** What a fetch carrier is made with. */
export interface FetchCarrierOptions extends CarrierLimits {
  readonly runtime: "deno" | "bun" | "node";
  readonly version: FetchVersion;
}

/** Why a fetch is aborted. Made once: an abort without a reason makes one, with a stack trace, for every call. */
const OVER = new DOMException("the call is over", "AbortError");

/** A body that is read at once, whatever is in it. */
const SHORT_BODY_BYTES = 65_536;

/** Bytes of request messages that may wait for the network, a call. */
const UPLOAD_BUFFER_BYTES = 256 * 1024;

/**
 * Opens calls as gRPC-Web over `fetch`. No `fetch` shows trailers, so native gRPC is impossible on it
 * (grpc/doc/PROTOCOL-WEB.md puts them into the body).
 */
export function createFetchCarrier(endpoint: Endpoint, options: FetchCarrierOptions): Carrier {
  const origin = originOf(endpoint);
  const target = targetOf(endpoint);
  const runtimeFetch = createRuntimeFetch(endpoint, options.runtime, options.version);
  const open = new Set<{ lose(error: ConnectError): void }>();
  let closed = false;

  async function exchange(
    request: CallRequest,
    body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>,
    listener: EndingListener,
    reading: Reading,
    abort: AbortController,
  ): Promise<void> {
    const headers = new Headers(request.metadata);
    headers.set("content-type", "application/grpc-web+proto");
    headers.set("x-grpc-web", "1");
    if (request.timeoutMs !== undefined) headers.set("grpc-timeout", formatTimeout(request.timeoutMs));
    let whole = false;
    try {
      const response = await runtimeFetch.fetch(origin + request.path, {
        method: "POST",
        headers,
        body,
        signal: abort.signal,
        // Credentials go to the server that was dialed, wherever it points.
        redirect: "manual",
        ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
      });
      whole = await readResponse(response, listener, reading, options.maxMessageBytes);
    } catch (error) {
      if (!listener.over) listener.fail(connectionError(target, error));
    } finally {
      // Ends an upload that the server did not wait for, and a body that was not read to its end. One that was leaves
      // its connection to the next call.
      if (!whole || body instanceof ReadableStream) abort.abort(OVER);
    }
  }

  return {
    open(request, callListener: CallListener): Call {
      const listener = ending(callListener);
      const abort = new AbortController();
      const reading = new Reading();
      const call = { lose: (error: ConnectError) => leave(error) };
      let upload: Upload | undefined;
      let single: Uint8Array<ArrayBuffer> | undefined;
      let started = false;

      function leave(error: ConnectError | undefined): void {
        open.delete(call);
        if (error === undefined) listener.mute();
        else listener.fail(error);
        upload?.stop();
        reading.resume();
        abort.abort(OVER);
      }
      function start(body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>): void {
        if (started || listener.over) return;
        started = true;
        open.add(call);
        void exchange(request, body, listener, reading, abort).finally(() => {
          open.delete(call);
          upload?.stop();
        });
      }

      if (closed) {
        queueMicrotask(() => listener.fail(new ConnectError("the channel is closed", Code.Unavailable)));
      } else if (request.kind === "client_streaming" || request.kind === "bidi_streaming") {
        upload = new Upload();
        const { stream } = upload;
        queueMicrotask(() => start(stream));
      }
      return {
        send(message, last) {
          if (listener.over) return undefined;
          const frame = encodeEnvelope(message);
          if (upload !== undefined) {
            const room = upload.write(frame);
            if (last) upload.close();
            return room;
          }
          single = single === undefined ? frame : concatenate(single, frame);
          if (last) start(single);
          return undefined;
        },
        halfClose() {
          if (upload !== undefined) upload.close();
          else start(single ?? new Uint8Array(0));
        },
        reset() {
          if (!listener.over) leave(undefined);
        },
        pause: () => reading.pause(),
        resume: () => reading.resume(),
      };
    },
    async close() {
      if (closed) return;
      closed = true;
      const error = new ConnectError("the channel is closed", Code.Unavailable);
      for (const call of open) call.lose(error);
      open.clear();
      await runtimeFetch.close();
    },
  };
}

/** Whether the body may be read on. */
export class Reading {
  #resumed: PromiseWithResolvers<void> | undefined;

  get wait(): Promise<void> | undefined {
    return this.#resumed?.promise;
  }
  pause(): void {
    this.#resumed ??= Promise.withResolvers<void>();
  }
  resume(): void {
    this.#resumed?.resolve();
    this.#resumed = undefined;
  }
}

/** A request body that is written as messages come. */
class Upload {
  readonly stream: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #room: PromiseWithResolvers<void> | undefined;

  constructor() {
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#wake(),
      cancel: () => this.stop(),
    }, { highWaterMark: UPLOAD_BUFFER_BYTES, size: (frame) => frame?.length ?? 1 });
  }

  /** Undefined while there is room. */
  write(frame: Uint8Array): Promise<void> | undefined {
    const controller = this.#controller;
    if (controller === undefined) return undefined;
    controller.enqueue(frame);
    if ((controller.desiredSize ?? 1) > 0) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  close(): void {
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.close();
    this.#wake();
  }

  /** Takes no more, and lets nobody wait. */
  stop(): void {
    const controller = this.#controller;
    this.#controller = undefined;
    try {
      controller?.close();
    } catch {
      // Cancelled by the reader already.
    }
    this.#wake();
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

/**
 * Reads a gRPC-Web answer, whatever is in it, and tells the listener how the call ends.
 *
 * @returns Whether the body was read to its end.
 */
export async function readResponse(
  response: Response,
  listener: EndingListener,
  reading: Reading,
  maxMessageBytes: number,
): Promise<boolean> {
  const headers = new Metadata(response.headers);
  const refusal = refuseResponse(response.status, headers, "grpc-web");
  // Trailers-only: the status is among the headers, and there may be no body.
  const immediate = headers.has("grpc-status") ? endOf(headers) : undefined;
  if (immediate !== undefined && (refusal === undefined || immediate.error !== undefined)) {
    listener.end(immediate);
    await response.body?.cancel();
    return false;
  }
  if (refusal !== undefined) {
    listener.fail(refusal, headers);
    await response.body?.cancel();
    return false;
  }
  listener.headers(headers);
  const envelopes = new EnvelopeReader(maxMessageBytes);
  const take = (flags: number, data: Uint8Array): boolean => {
    if ((flags & COMPRESSED) !== 0) {
      listener.fail(new ConnectError("the server sent a compressed message unasked", Code.Internal));
    } else if ((flags & TRAILERS) !== 0) {
      finish(parseTrailers(data), listener);
    } else {
      listener.message(data);
    }
    return !listener.over;
  };
  const read = (chunk: Uint8Array): void => {
    const problem = envelopes.push(chunk, take);
    if (problem === undefined) return;
    listener.fail(
      new ConnectError(
        `the server sent a message of ${problem.oversized} bytes, over the limit of ${maxMessageBytes}`,
        Code.ResourceExhausted,
      ),
    );
  };
  const ended = (): void => {
    if (listener.over) return;
    const where = envelopes.atBoundary ? "without trailers" : "in the middle of a message";
    listener.fail(new ConnectError(`the answer ended ${where}`, Code.Internal));
  };
  // Both runtimes read a short body whole faster than chunk by chunk.
  if (Number(response.headers.get("content-length") ?? Infinity) <= SHORT_BODY_BYTES) {
    read(new Uint8Array(await response.arrayBuffer()));
    ended();
    return true;
  }
  const reader = response.body?.getReader();
  if (reader === undefined) {
    ended();
    return true;
  }
  for (;;) {
    if (reading.wait !== undefined) await reading.wait;
    const over = listener.over;
    const { done, value } = await reader.read();
    if (done) {
      ended();
      return true;
    }
    // After the trailers there is but the end of the body.
    if (over) return false;
    read(value);
  }
}

function finish(trailers: Metadata, listener: EndingListener): void {
  const end = endOf(trailers);
  if (end.known) listener.end(end);
  else listener.fail(new ConnectError("the server sent no status", Code.Internal), trailers);
}

function concatenate(one: Uint8Array, other: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
