import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectionError } from "../core/net/connection_error.ts";
import { EnvelopeReader } from "../core/grpc/envelope.ts";
import { endOf, formatTimeout, refuseResponse } from "../core/grpc/grpc_status.ts";
import { headerValues } from "../core/grpc/header_values.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import type { Call, CallEnd, CallRequest, Carrier } from "../rpc/carrier.ts";
import { ending, type EndingListener } from "./call_ending.ts";
import {
  compressionHeaders,
  type Compressor,
  compressorOf,
  contentOf,
  frameOf,
  type MessageOptions,
} from "./compressor.ts";
import { type Endpoint, isSendable, targetOf } from "./endpoint.ts";
import { createSessionPool, type Session, type SessionOptions, type SessionPool } from "./http2_session.ts";

/** What an HTTP/2 carrier is made with. */
export interface Http2CarrierOptions extends MessageOptions, SessionOptions {}

const NGHTTP2_REFUSED_STREAM = 7, NGHTTP2_CANCEL = 8;

/** How often a call is started that sessions refuse unread. */
const MOST_TRIES = 3;

/** What every server's first window holds: 65,535 bytes, unless it says otherwise, and none is known to say less. */
const SHORT_REQUEST_BYTES = 32 * 1024;

/** Bytes of request messages that may wait for the network, a call. */
const UPLOAD_BUFFER_BYTES = 256 * 1024;

/** Opens calls as native gRPC over `node:http2` (grpc/doc/PROTOCOL-HTTP2.md). */
export function createHttp2Carrier(endpoint: Endpoint, options: Http2CarrierOptions): Carrier {
  let pool: Promise<SessionPool> | undefined;
  let ready: SessionPool | undefined;
  let closed = false;
  const open = new Set<Http2Call>();

  function sessionFor(short: boolean): Session | Promise<Session> {
    if (ready !== undefined) return ready.acquire(short);
    pool ??= createSessionPool(endpoint, options).then((made) => {
      ready = made;
      if (closed) made.close();
      return made;
    });
    return pool.then((made) => made.acquire(short));
  }

  return {
    open(request, callListener) {
      const call = new Http2Call(
        request,
        ending(callListener),
        targetOf(endpoint),
        options,
        () => {
          open.delete(call);
        },
        // In a turn of its own: no event comes before `open` has returned.
        () => {
          if (!closed) queueMicrotask(start);
        },
      );
      if (closed) {
        queueMicrotask(() => call.fail(new ConnectError("the channel is closed", Code.Unavailable)));
        return call;
      }
      open.add(call);
      async function start(): Promise<void> {
        try {
          const session = await sessionFor(call.short);
          call.start(session, () => ready?.release(session), () => void start());
        } catch (error) {
          call.fail(error instanceof ConnectError ? error : connectionError(targetOf(endpoint), error));
        }
      }
      return call;
    },
    async close() {
      if (closed) return;
      closed = true;
      const error = new ConnectError("the channel is closed", Code.Unavailable);
      for (const call of [...open]) {
        call.fail(error);
        call.cancel();
      }
      (await pool?.catch(() => undefined))?.close();
    },
  };
}

class Http2Call implements Call {
  readonly #request: CallRequest;
  readonly #listener: EndingListener;
  readonly #target: string;
  /** Set where node:http2 would say it wrongly: Node's leaves an IPv6 address without brackets (RFC 3986, 3.2.2). */
  readonly #authority: string | undefined;
  readonly #onOver: () => void;
  /** What begins the call, until that has happened. */
  #begin: (() => void) | undefined;
  readonly #envelopes: EnvelopeReader;
  #stream: ClientHttp2Stream | undefined;
  /** Messages sent before there is a stream. */
  #early: Uint8Array[] = [];
  /** All that the stream was given, as long as that can be given to another: it is not much, nothing has come. */
  #kept: Uint8Array[] | undefined;
  #keptBytes = 0;
  #tries = 0;
  #halfClosed = false;
  #paused = false;
  /** Bytes handed to the stream that it has not passed on. */
  #waiting = 0;
  #room: PromiseWithResolvers<void> | undefined;
  #trailers: Metadata | undefined;
  #answered = false;
  /** Trailers-only: the status is among the headers, and counts if neither a body nor trailers follow. */
  #immediate: (CallEnd & { readonly headers: Metadata }) | undefined;
  readonly #options: Http2CarrierOptions;
  /** What the answer is compressed with. */
  #compressor: Compressor | undefined;

  constructor(
    request: CallRequest,
    listener: EndingListener,
    target: string,
    options: Http2CarrierOptions,
    onOver: () => void,
    begin: () => void,
  ) {
    this.#request = request;
    this.#listener = listener;
    this.#target = target;
    this.#authority = target.startsWith("[") ? target : undefined;
    this.#options = options;
    this.#envelopes = new EnvelopeReader(options.maxMessageBytes);
    this.#onOver = onOver;
    this.#begin = begin;
    // With one message to send, its size says which session will do.
    if (request.kind === "client_streaming" || request.kind === "bidi_streaming") this.#started();
  }

  #started(): void {
    const begin = this.#begin;
    this.#begin = undefined;
    begin?.();
  }

  /** Whether all that is sent fits into the smallest window that a server begins with. */
  get short(): boolean {
    const { kind } = this.#request;
    return (kind === "unary" || kind === "server_streaming") && this.#waiting <= SHORT_REQUEST_BYTES;
  }

  /** @param again Starts the call on another session. */
  start(session: Session, release: () => void, again: () => void): void {
    if (this.#listener.over) return release();
    this.#tries++;
    let refused = false;
    let stream: ClientHttp2Stream;
    try {
      stream = session.http2.request(
        requestHeaders(this.#request, this.#authority, this.#options.compressor),
      );
    } catch (error) {
      release();
      if (!this.#isRefused(session, error)) throw error;
      return again();
    }
    this.#stream = stream;
    session.opened(stream);
    stream.on("response", (headers) => this.#response(headers));
    stream.on("trailers", (trailers: IncomingHttpHeaders) => {
      this.#trailers = fromNodeHeaders(trailers);
    });
    stream.on("error", (error) => {
      refused ||= this.#isRefused(session, error);
      if (!refused) this.fail(this.#lost(error));
    });
    stream.on("close", () => {
      session.streams.delete(stream);
      const { destroyed, closed } = session.http2;
      release();
      if (refused || this.#isRefused(session)) return this.#restart(again);
      if (destroyed || closed) this.#cutOff();
      this.#closed();
    });
    const early = this.#early;
    this.#early = [];
    this.#kept = [];
    this.#keptBytes = 0;
    for (const frame of early) {
      this.#keep(frame);
      this.#write(stream, frame);
    }
    if (this.#halfClosed) stream.end();
  }

  /**
   * Whether the session has refused the call unread, so that it can be made on another (RFC 9113, section 8.7): it
   * was on its way when the server said that it takes no more.
   */
  #isRefused(session: Session, error?: unknown): boolean {
    const { code } = (error ?? {}) as { code?: unknown };
    const goneAway = code === "ERR_HTTP2_GOAWAY_SESSION" || code === "ERR_HTTP2_INVALID_SESSION";
    if (goneAway) session.draining = true;
    const unread = goneAway || this.#stream?.rstCode === NGHTTP2_REFUSED_STREAM;
    const again = this.#stream === undefined || this.#kept !== undefined;
    return unread && again && this.#tries < MOST_TRIES && !this.#listener.over;
  }

  #keep(frame: Uint8Array): void {
    this.#keptBytes += frame.length;
    if (this.#keptBytes > UPLOAD_BUFFER_BYTES) this.#kept = undefined;
    this.#kept?.push(frame);
  }

  #restart(again: () => void): void {
    this.#early = this.#kept ?? [];
    this.#waiting = this.#early.reduce((sum, frame) => sum + frame.length, 0);
    this.#kept = undefined;
    this.#stream = undefined;
    again();
  }

  send(message: Uint8Array, last: boolean): Promise<void> | undefined {
    if (this.#listener.over || this.#halfClosed) return undefined;
    const frame = frameOf(message, this.#options.compressor);
    this.#halfClosed = last;
    const stream = this.#stream;
    this.#waiting += frame.length;
    this.#keep(frame);
    if (stream === undefined) {
      this.#early.push(frame);
      this.#started();
    } else if (last) {
      stream.end(frame);
      return undefined;
    } else {
      this.#write(stream, frame);
    }
    if (this.#waiting <= UPLOAD_BUFFER_BYTES) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Bun does not always report `drain`; every write reports its own end on all runtimes. */
  #write(stream: ClientHttp2Stream, frame: Uint8Array): void {
    stream.write(frame, () => {
      if (stream !== this.#stream) return;
      this.#waiting -= frame.length;
      if (this.#waiting <= UPLOAD_BUFFER_BYTES) this.#wake();
    });
  }

  halfClose(): void {
    if (this.#halfClosed) return;
    this.#halfClosed = true;
    if (this.#listener.over) return;
    this.#started();
    this.#stream?.end();
  }

  reset(): void {
    if (this.#listener.over) return;
    this.#listener.mute();
    this.#over();
    this.cancel();
  }

  /** Tells the server that nobody waits any more. */
  cancel(): void {
    const stream = this.#stream;
    // `close()` ends the request first (an END_STREAM before the RST_STREAM), and servers take half an upload for a
    // whole one.
    if (stream !== undefined && !this.#halfClosed) stream.end = () => stream;
    stream?.close(NGHTTP2_CANCEL);
    // What has come in already must be read, or the stream is never reported closed.
    this.#stream?.resume();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#stream?.resume();
  }

  fail(error: ConnectError, trailers?: Metadata): void {
    this.#over();
    this.#listener.fail(error, trailers);
  }

  #response(headers: IncomingHttpHeaders): void {
    const stream = this.#stream!;
    this.#kept = undefined;
    const metadata = fromNodeHeaders(headers);
    const status = Number(headers[":status"]);
    const refusal = refuseResponse(status, metadata, "grpc", this.#options.compressor?.name);
    const immediate = metadata.has("grpc-status") ? endOf(metadata) : undefined;
    if (refusal !== undefined) {
      if (immediate?.error === undefined) {
        this.fail(refusal, metadata);
        return this.cancel();
      }
      // A grpclib server sends its errors without a content type.
      this.#over();
      this.#listener.end(immediate);
      return this.#discard(stream);
    }
    this.#answered = true;
    this.#compressor = compressorOf(metadata, this.#options.compressor);
    if (immediate !== undefined) this.#immediate = { ...immediate, headers: metadata };
    if (immediate?.error === undefined) this.#listener.headers(metadata);
    // Only now: Deno may give data before the response to a listener that is there too early.
    stream.on("data", (chunk: Uint8Array) => this.#data(chunk));
    stream.on("end", () => this.#end());
    if (this.#paused) stream.pause();
  }

  #data(chunk: Uint8Array): void {
    if (this.#listener.over) return;
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const { maxMessageBytes } = this.#options;
    const problem = this.#envelopes.push(bytes, (flags, data) => {
      this.#moreThanHeaders();
      const content = contentOf(flags, data, this.#compressor, maxMessageBytes);
      if (content instanceof ConnectError) {
        this.fail(content);
        this.cancel();
      } else {
        this.#listener.message(content);
      }
      return !this.#listener.over;
    });
    if (problem === undefined) return;
    this.fail(
      new ConnectError(
        `the server sent a message of ${problem.oversized} bytes, over the limit of ${maxMessageBytes}`,
        Code.ResourceExhausted,
      ),
    );
    this.cancel();
  }

  /** There is a body, or there are trailers: a status among the headers means nothing. */
  #moreThanHeaders(): void {
    const immediate = this.#immediate;
    if (immediate === undefined) return;
    this.#immediate = undefined;
    if (immediate.error !== undefined) this.#listener.headers(immediate.headers);
  }

  /** The body is read; trailers, if any, have come before. */
  #end(): void {
    if (this.#listener.over) return;
    const trailers = this.#trailers;
    if (trailers === undefined && this.#immediate === undefined) return; // `close` tells why
    if (trailers !== undefined) this.#moreThanHeaders();
    const end = trailers === undefined ? { known: true, ...this.#immediate! } : endOf(trailers);
    this.#over();
    if (!end.known) {
      this.#listener.fail(new ConnectError("the server sent no status", Code.Internal), trailers);
    } else if (end.error === undefined && !this.#envelopes.atBoundary) {
      this.#listener.fail(
        new ConnectError("the call ended in the middle of a message", Code.Internal),
        trailers,
      );
    } else {
      this.#listener.end(end);
    }
    // The server has ended the call; what is still to be sent, it does not want.
    if (!this.#stream!.writableEnded) this.cancel();
  }

  /** The connection has ended. That closes its streams with CANCEL or no code at all: no reset of the server's. */
  #cutOff(): void {
    const { rstCode } = this.#stream!;
    if (this.#listener.over || this.#trailers !== undefined) return;
    if (rstCode !== undefined && rstCode !== 0 && rstCode !== NGHTTP2_CANCEL) return;
    if (this.#immediate !== undefined && !rstCode) return;
    this.fail(this.#connectionLost(new Error("connection closed")));
  }

  #closed(): void {
    if (this.#listener.over) return;
    const { rstCode } = this.#stream!;
    if (this.#trailers !== undefined || (this.#immediate !== undefined && !rstCode)) return this.#end();
    this.fail(
      rstCode === undefined || rstCode === 0
        ? (this.#answered
          ? new ConnectError("the server ended the call without a status", Code.Internal)
          : this.#lost(new Error("connection closed")))
        : new ConnectError(`the server reset the call (HTTP/2 error ${rstCode})`, codeFromReset(rstCode)),
    );
  }

  #lost(error: unknown): ConnectError {
    const { rstCode } = this.#stream ?? {};
    if (rstCode !== undefined && rstCode !== 0 && rstCode !== 2) {
      return new ConnectError(
        `the server reset the call (HTTP/2 error ${rstCode})`,
        codeFromReset(rstCode),
        undefined,
        undefined,
        error,
      );
    }
    return this.#connectionLost(error);
  }

  #connectionLost(error: unknown): ConnectError {
    this.#options.onConnectionLost?.();
    return connectionError(this.#target, error);
  }

  #discard(stream: ClientHttp2Stream): void {
    stream.resume();
    if (!stream.writableEnded) this.cancel();
  }

  #over(): void {
    this.#onOver();
    this.#wake();
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

/** The code for an HTTP/2 reset (grpc/doc/PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping"). */
function codeFromReset(rstCode: number): Code {
  switch (rstCode) {
    case 7:
      return Code.Unavailable;
    case 8:
      return Code.Canceled;
    case 11:
      return Code.ResourceExhausted;
    case 12:
      return Code.PermissionDenied;
    default:
      return Code.Internal;
  }
}

function requestHeaders(
  request: CallRequest,
  authority: string | undefined,
  compressor: Compressor | undefined,
): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, values] of request.metadata.lists()) {
    if (isSendable(name)) headers[name] = values.length === 1 ? values[0]! : headerValues(name, values);
  }
  headers[":method"] = "POST";
  headers[":path"] = request.path;
  if (authority !== undefined) headers[":authority"] = authority;
  headers["content-type"] = "application/grpc+proto";
  headers["te"] = "trailers";
  if (compressor !== undefined) Object.assign(headers, Object.fromEntries(compressionHeaders(compressor)));
  if (request.timeoutMs !== undefined) headers["grpc-timeout"] = formatTimeout(request.timeoutMs);
  return headers;
}

function fromNodeHeaders(headers: IncomingHttpHeaders): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":") || value === undefined) continue;
    for (const item of Array.isArray(value) ? value : [value]) metadata.append(name, item);
  }
  return metadata;
}
