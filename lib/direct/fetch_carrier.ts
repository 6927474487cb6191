import { Code, ConnectError } from "@connectrpc/connect";
import { concatenate } from "../core/bytes.ts";
import { formatTimeout } from "../core/grpc/grpc_status.ts";
import type { Metadata } from "../core/grpc/metadata.ts";
import { sendsOne } from "../core/grpc/stream_kind.ts";
import { connectionError } from "../core/net/connection_error.ts";
import { describeTarget, urlOf } from "../core/net/target.ts";
import type { Call, CallRequest, Carrier, UnaryAnswer } from "../rpc/carrier.ts";
import { endedCall } from "../rpc/held_call.ts";
import { Outbox } from "../rpc/outbox.ts";
import { abortable } from "../runtime/abortable.ts";
import { linkAbort } from "../runtime/linked_abort.ts";
import { EndingListener } from "./call_ending.ts";
import { compressionHeaders, frameOf, framesOf, type MessageOptions } from "./compressor.ts";
import type { Endpoint } from "./endpoint.ts";
import { watchIdleConnections } from "./idle_connections.ts";
import { isSendable } from "./sendable.ts";
import { ReadingGate, readResponse, readUnaryResponse } from "./fetch_response.ts";
import { Upload } from "./fetch_upload.ts";
import { createRuntimeFetch } from "./runtime_fetch.ts";

/** Options of a fetch carrier. */
export interface FetchCarrierOptions extends MessageOptions {
  /** The fetch to use: Bun's, or this library's over `node:http`. */
  readonly runtime: "bun" | "node";
  /** Silence after which TCP asks for a sign of life, in milliseconds, where the sockets are ours; 0 for never. */
  readonly keepAliveMs?: number;
  /** Told when a call finds its connection lost. */
  readonly onConnectionLost?: () => void;
}

/** The reason of an aborted fetch. Made once: an abort without a reason makes one, with a stack trace, for every call. */
const OVER = new DOMException("the call is over", "AbortError");

/** Headers that Bun's fetch sends; it drops further ones without a word. Some are its own. */
const BUN_HEADERS = 240;

/**
 * Opens calls as gRPC-Web over `fetch`. No `fetch` shows trailers, so native gRPC is impossible on it
 * (grpc/doc/PROTOCOL-WEB.md puts them into the body).
 */
export function createFetchCarrier(endpoint: Endpoint, options: FetchCarrierOptions): Carrier {
  const { compressor } = options;
  const origin = urlOf(endpoint);
  const runtimeFetch = createRuntimeFetch(endpoint, options.runtime, options.keepAliveMs ?? 0);
  // On Bun a call finds a connection that works by itself.
  const idle = options.runtime === "bun" ? undefined : watchIdleConnections();
  const open = new Set<FetchCall>();
  const closing = new AbortController();
  let closed: ConnectError | undefined;
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
    if (options.runtime === "bun" && headers.length > BUN_HEADERS) {
      throw new ConnectError(
        `the call has ${headers.length} headers, and Bun's fetch sends no more than ${BUN_HEADERS}`,
        Code.ResourceExhausted,
      );
    }
    if (timeoutMs !== undefined) headers.push(["grpc-timeout", formatTimeout(timeoutMs())]);
    else if (constant === true) {
      // Bun takes an object sooner than pairs, Deno pairs; where a name comes twice, only pairs will do.
      const object = options.runtime === "bun" ? Object.fromEntries(headers) : {};
      last = { metadata, headers: Object.keys(object).length === headers.length ? object : headers };
      return last.headers;
    }
    return headers;
  }

  async function post(
    request: CallRequest,
    body: Uint8Array<ArrayBuffer> | Outbox,
    signal: AbortSignal,
  ): Promise<Response> {
    const init: RequestInit = {
      method: "POST",
      headers: headersOf(request),
      signal,
      // Credentials go to the server that was dialed, wherever it points.
      redirect: "manual",
      ...(body instanceof Outbox ? { body: uploadOf(body), duplex: "half" } : { body }),
    };
    const seen = idle?.seen();
    if (seen !== undefined) await abortable(seen, signal);
    const response = await runtimeFetch.fetch(origin + request.path, init);
    idle?.used();
    return response;
  }

  function uploadOf(outbox: Outbox): ReadableStream<Uint8Array> {
    const upload = new Upload((messages) => framesOf(messages, compressor));
    outbox.attach(upload);
    return upload.body;
  }

  function connectionLost(error: unknown): ConnectError {
    options.onConnectionLost?.();
    return connectionError(describeTarget(endpoint), error);
  }

  async function unary(
    request: CallRequest,
    message: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<UnaryAnswer> {
    if (closed !== undefined) throw closed;
    // One signal serves all calls that nothing but closing can end.
    const call = signal === undefined ? undefined : linkAbort([signal, closing.signal], { reason: OVER });
    try {
      const response = await post(request, frameOf(message, compressor), call?.signal ?? closing.signal);
      return await readUnaryResponse(response, options);
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      throw closed ?? (error instanceof ConnectError ? error : connectionLost(error));
    } finally {
      call?.release();
    }
  }

  /** A call that is not made in one step. */
  class FetchCall implements Call {
    readonly #request: CallRequest;
    readonly #listener: EndingListener;
    readonly #abort = new AbortController();
    readonly #gate = new ReadingGate();
    /** Messages to send, of a stream as they come; undefined for one message. */
    readonly #outbox: Outbox | undefined;
    #body: Uint8Array<ArrayBuffer> = new Uint8Array(0);
    #isStarted = false;

    constructor(request: CallRequest, listener: EndingListener) {
      this.#request = request;
      this.#listener = listener;
      if (sendsOne(request.kind)) return;
      const outbox = this.#outbox = new Outbox(0);
      queueMicrotask(() => this.#start(outbox));
    }

    #start(body: Uint8Array<ArrayBuffer> | Outbox): void {
      if (this.#isStarted || this.#listener.over) return;
      this.#isStarted = true;
      open.add(this);
      void this.#exchange(body);
    }

    async #exchange(body: Uint8Array<ArrayBuffer> | Outbox): Promise<void> {
      let whole = false;
      try {
        const response = await post(this.#request, body, this.#abort.signal);
        whole = await readResponse(response, this.#listener, this.#gate, options);
      } catch (error) {
        if (!this.#listener.over) {
          this.#listener.fail(error instanceof ConnectError ? error : connectionLost(error));
        }
      } finally {
        open.delete(this);
        this.#outbox?.close();
        // Ends an upload that the server did not wait for, and a body that was not read to its end. One that was
        // leaves its connection to the next call.
        if (!whole || this.#outbox !== undefined) this.#abort.abort(OVER);
      }
    }

    send(message: Uint8Array, last: boolean): Promise<void> | undefined {
      if (this.#listener.over) return undefined;
      if (this.#outbox !== undefined) return this.#outbox.send(message, last);
      this.#body = concatenate([this.#body, frameOf(message, compressor)]);
      if (last) this.#start(this.#body);
      return undefined;
    }

    halfClose(): void {
      if (this.#outbox !== undefined) this.#outbox.halfClose();
      else this.#start(this.#body);
    }

    reset(): void {
      if (!this.#listener.over) this.end(undefined);
    }

    pause(): void {
      this.#gate.pause();
    }

    resume(): void {
      this.#gate.resume();
    }

    /** Ends the call from this side; without an error, nobody is told. */
    end(error: ConnectError | undefined): void {
      open.delete(this);
      if (error === undefined) this.#listener.mute();
      else this.#listener.fail(error);
      this.#abort.abort(OVER);
      this.#outbox?.close();
      this.#gate.resume();
    }
  }

  return {
    unary,
    open(request, listener) {
      return closed === undefined
        ? new FetchCall(request, new EndingListener(listener))
        : endedCall(closed, listener);
    },
    close() {
      if (closed === undefined) {
        closed = new ConnectError("the channel is closed", Code.Unavailable);
        closing.abort(OVER);
        for (const call of open) call.end(closed);
        runtimeFetch.close();
      }
      return Promise.resolve();
    },
  };
}
