import { Code, ConnectError } from "@connectrpc/connect";
import { concatenate } from "../core/grpc/envelope.ts";
import { connectionError } from "../core/net/connection_error.ts";
import { formatTimeout } from "../core/grpc/grpc_status.ts";
import type { Metadata } from "../core/grpc/metadata.ts";
import type { Call, CallListener, CallRequest, Carrier, UnaryAnswer } from "../rpc/carrier.ts";
import { linkAbort } from "../runtime/linked_abort.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { ending, type EndingListener } from "./call_ending.ts";
import { compressionHeaders, frameOf, framesOf, type MessageOptions } from "./compressor.ts";
import { type Endpoint, isSendable, originOf, targetOf } from "./endpoint.ts";
import { Reading, readResponse, readUnaryResponse } from "./fetch_response.ts";
import { Upload } from "./fetch_upload.ts";
import { createRuntimeFetch, type FetchVersion, isUnsent } from "./runtime_fetch.ts";

/** What a fetch carrier is made with. */
export interface FetchCarrierOptions extends MessageOptions {
  readonly runtime: Runtime;
  readonly version: FetchVersion;
  /** Told when a call finds its connection lost. */
  readonly onConnectionLost?: () => void;
}

/** Why a fetch is aborted. Made once: an abort without a reason makes one, with a stack trace, for every call. */
const OVER = new DOMException("the call is over", "AbortError");

const CLOSED = "the channel is closed";

/** How often a call is tried that the runtime has not sent. */
const MOST_TRIES = 3;

type Body = Uint8Array<ArrayBuffer> | Upload;

/**
 * Opens calls as gRPC-Web over `fetch`. No `fetch` shows trailers, so native gRPC is impossible on it
 * (grpc/doc/PROTOCOL-WEB.md puts them into the body).
 */
export function createFetchCarrier(endpoint: Endpoint, options: FetchCarrierOptions): Carrier {
  const { compressor } = options;
  const origin = originOf(endpoint);
  const target = targetOf(endpoint);
  const runtimeFetch = createRuntimeFetch(endpoint, options.runtime, options.version);
  const open = new Set<{ lose(error: ConnectError): void }>();
  const closing = new AbortController();
  let closed = false;
  /** Made of metadata that comes again. */
  let last: { readonly metadata: Metadata; readonly headers: HeadersInit } | undefined;

  function headersOf({ metadata, constant, timeoutMs }: CallRequest): HeadersInit {
    if (constant === true && last?.metadata === metadata && timeoutMs === undefined) return last.headers;
    const headers: [string, string][] = [
      ...[...metadata].filter(([name]) => isSendable(name)),
      ["content-type", "application/grpc-web+proto"],
      ["x-grpc-web", "1"],
      ...(compressor === undefined ? [] : compressionHeaders(compressor)),
    ];
    if (timeoutMs !== undefined) headers.push(["grpc-timeout", formatTimeout(timeoutMs)]);
    else if (constant === true) {
      // Bun takes an object sooner than pairs, Deno pairs; where a name comes twice, only pairs will do.
      const object = options.runtime === "bun" ? Object.fromEntries(headers) : {};
      last = { metadata, headers: Object.keys(object).length === headers.length ? object : headers };
      return last.headers;
    }
    return headers;
  }

  async function post(request: CallRequest, body: Body, signal: AbortSignal): Promise<Response> {
    const init: RequestInit = {
      method: "POST",
      headers: headersOf(request),
      signal,
      // Credentials go to the server that was dialed, wherever it points.
      redirect: "manual",
      ...(body instanceof Upload ? { duplex: "half" } : {}),
    };
    for (let tries = 1;; tries++) {
      try {
        init.body = body instanceof Upload ? body.open() : body;
        const response = await runtimeFetch.fetch(origin + request.path, init);
        if (body instanceof Upload) body.answered();
        return response;
      } catch (error) {
        const again = !(body instanceof Upload) || body.repeatable;
        if (!again || tries === MOST_TRIES || signal.aborted || !isUnsent(error)) throw error;
      }
    }
  }

  function connectionLost(error: unknown): ConnectError {
    options.onConnectionLost?.();
    return connectionError(target, error);
  }

  async function unary(
    request: CallRequest,
    message: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<UnaryAnswer> {
    if (closed) throw new ConnectError(CLOSED, Code.Unavailable);
    // One signal serves all calls that nothing but closing can end.
    const call = signal === undefined ? undefined : linkAbort([signal, closing.signal], { reason: OVER });
    try {
      const response = await post(request, frameOf(message, compressor), call?.signal ?? closing.signal);
      return await readUnaryResponse(response, options);
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      if (closed) throw new ConnectError(CLOSED, Code.Unavailable);
      throw error instanceof ConnectError ? error : connectionLost(error);
    } finally {
      call?.release();
    }
  }

  async function exchange(
    request: CallRequest,
    body: Body,
    listener: EndingListener,
    reading: Reading,
    abort: AbortController,
  ): Promise<void> {
    let whole = false;
    try {
      const response = await post(request, body, abort.signal);
      whole = await readResponse(response, listener, reading, options);
    } catch (error) {
      if (!listener.over) listener.fail(connectionLost(error));
    } finally {
      // Ends an upload that the server did not wait for, and a body that was not read to its end. One that was leaves
      // its connection to the next call.
      if (!whole || body instanceof Upload) abort.abort(OVER);
    }
  }

  return {
    unary,
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
      function start(body: Body): void {
        if (started || listener.over) return;
        started = true;
        open.add(call);
        void exchange(request, body, listener, reading, abort).finally(() => {
          open.delete(call);
          upload?.stop();
        });
      }

      if (closed) {
        queueMicrotask(() => listener.fail(new ConnectError(CLOSED, Code.Unavailable)));
      } else if (request.kind === "client_streaming" || request.kind === "bidi_streaming") {
        const body = upload = new Upload((messages) => framesOf(messages, compressor));
        queueMicrotask(() => start(body));
      }
      return {
        send(message, last) {
          if (listener.over) return undefined;
          if (upload !== undefined) {
            const room = upload.write(message);
            if (last) upload.close();
            return room;
          }
          const frame = frameOf(message, compressor);
          single = single === undefined ? frame : concatenate([single, frame]);
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
      closing.abort(OVER);
      const error = new ConnectError(CLOSED, Code.Unavailable);
      for (const call of open) call.lose(error);
      open.clear();
      await runtimeFetch.close();
    },
  };
}
