import { Buffer } from "node:buffer";
import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { StatusEnd } from "../core/grpc/grpc_status.ts";
import { sendsOne } from "../core/grpc/stream_kind.ts";
import { connectionError, connectionFailure } from "../core/net/connection_error.ts";
import { describeTarget } from "../core/net/target.ts";
import type { Call, CallRequest } from "../rpc/carrier.ts";
import { Outbox } from "../rpc/outbox.ts";
import { AnswerReader, type AnswerReaderOptions } from "./answer_reader.ts";
import type { EndingListener } from "./call_ending.ts";
import { framesOf } from "./compressor.ts";
import type { Endpoint } from "./endpoint.ts";
import { endOfTrailers, responseHeadersOf } from "./http2_headers.ts";
import type { Session } from "./http2_session.ts";
import { Http2Upload } from "./http2_upload.ts";

const NGHTTP2_REFUSED_STREAM = 7, NGHTTP2_CANCEL = 8;

/** The codes of HTTP/2 resets (grpc/doc/PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping"); `Internal` for others. */
const RESET_CODES: Readonly<Record<number, Code>> = {
  7: Code.Unavailable,
  8: Code.Canceled,
  11: Code.ResourceExhausted,
  12: Code.PermissionDenied,
};

/** The code of an error that stands for a reset by the server. */
const STREAM_ERROR = "ERR_HTTP2_STREAM_ERROR";

const CLOSED = connectionFailure("ECONNRESET", "connection closed");

/** Tries of a call that is refused unread although no other call takes its place. */
const MOST_TRIES = 3;

/** Bytes of a server's first window, unless it says otherwise; none is known to say less. */
const SHORT_REQUEST_BYTES = 32 * 1024;

/** Bytes below which a copy costs less than a view, which makes an `ArrayBuffer` of what had none on Bun. */
const SHORT_CHUNK_BYTES = 1_024;

/** A `Buffer`, which streams of node take as it is. */
const newBuffer = (bytes: number) => Buffer.allocUnsafe(bytes);

/** Messages are no `Buffer`, whose `slice()` does not copy. */
function plainBytes(chunk: Uint8Array): Uint8Array {
  return chunk.length < SHORT_CHUNK_BYTES
    ? new Uint8Array(chunk)
    : new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

/** Time that no write takes for which there is room, even if a look at the connection falls into it, in milliseconds. */
const WAITED_MS = 50;

/** Parts that a call over HTTP/2 works with. */
export interface Http2CallContext extends AnswerReaderOptions {
  readonly endpoint: Endpoint;
  headersOf(request: CallRequest): OutgoingHttpHeaders;
  /** Finds a session with room for the call. */
  acquire(short: boolean, call: { readonly over: boolean }): Session | Promise<Session>;
  /** Gives a session back. */
  release(session: Session): void;
  /** Told when a call finds its connection lost. */
  readonly onConnectionLost?: () => void;
  /** Told when a call is over. */
  onOver(call: Http2Call): void;
}

/** A call on a stream of HTTP/2; on another one where a session refuses it unread. */
export class Http2Call implements Call {
  readonly #request: CallRequest;
  readonly #listener: EndingListener;
  readonly #context: Http2CallContext;
  readonly #outbox = new Outbox();
  readonly #answer: AnswerReader;
  #stream: ClientHttp2Stream | undefined;
  #refusals = 0;
  #isStarted = false;
  #halfClosed = false;
  #paused = false;
  #hasAnswered = false;
  /** Bytes of writes that the system has not taken. */
  #unsent = 0;
  #trailers: StatusEnd | undefined;

  constructor(request: CallRequest, listener: EndingListener, context: Http2CallContext) {
    this.#request = request;
    this.#listener = listener;
    this.#context = context;
    this.#answer = new AnswerReader(listener, context);
    // With one message to send, its size says which session will do. In a turn of its own: no event comes before
    // `Carrier.open` has returned.
    if (!sendsOne(request.kind)) queueMicrotask(() => this.#begin());
  }

  #begin(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#start();
  }

  #start(): void {
    if (this.#listener.over) return;
    const short = sendsOne(this.#request.kind) && this.#outbox.size <= SHORT_REQUEST_BYTES;
    const session = this.#context.acquire(short, this.#listener);
    if (session instanceof Promise) {
      session.then((ready) => this.#open(ready), (error) => this.#failed(error));
    } else this.#open(session);
  }

  #failed(error: unknown): void {
    this.fail(
      error instanceof ConnectError ? error : connectionError(describeTarget(this.#context.endpoint), error),
    );
  }

  #open(session: Session): void {
    const { compressor, headersOf, release } = this.#context;
    if (this.#listener.over) return release(session);
    let refused = false;
    let stream: ClientHttp2Stream;
    try {
      stream = session.http2.request(headersOf(this.#request));
    } catch (error) {
      release(session);
      return this.#isRefused(session, error) ? this.#start() : this.#failed(error);
    }
    this.#stream = stream;
    session.opened(stream);
    const before = session.life?.taken ?? 0;
    stream.on("response", (headers) => {
      session.hear();
      session.life?.arrived(before);
      this.#response(headers, session);
    });
    stream.on("trailers", (trailers: IncomingHttpHeaders) => {
      session.hear();
      this.#trailers = endOfTrailers(trailers);
    });
    stream.on("error", (error) => {
      refused ||= this.#isRefused(session, error);
      if (refused) return;
      this.#readRest(stream);
      // After the whole answer, a reset says only that the rest of the request is not wanted.
      if (this.#trailers !== undefined) this.#ended();
      else this.fail(this.#lossOf(stream, session, error));
    });
    stream.on("close", () => {
      session.streams.delete(stream);
      // What it has not sent, it does not send any more.
      this.#sent(this.#unsent, session);
      // A session that ends closes its streams with CANCEL, or with no code at all.
      const isGone = session.http2.destroyed || session.http2.closed;
      refused ||= this.#isRefused(session);
      release(session);
      if (refused) {
        this.#stream = undefined;
        this.#outbox.detach();
        this.#start();
      } else {
        this.#closed(stream, session, isGone);
      }
    });
    const encode = (messages: readonly Uint8Array[]) => framesOf(messages, compressor, newBuffer);
    this.#outbox.attach(new Http2Upload(stream, encode, (bytes) => this.#watchWrite(bytes, session)));
  }

  /**
   * Takes note of a write, and returns what is called at its end. A ping may wait behind a long upload. The system's
   * buffer takes writes to a dead connection, too, but only a live one makes room for a write that had to wait.
   */
  #watchWrite(bytes: number, session: Session): () => void {
    const { looks } = session;
    const began = performance.now();
    this.#unsent += bytes;
    session.life?.writing(bytes);
    return () => {
      this.#sent(bytes, session);
      if (session.looks > looks && performance.now() - began >= WAITED_MS) session.hear();
    };
  }

  #sent(bytes: number, session: Session): void {
    const sent = Math.min(bytes, this.#unsent);
    this.#unsent -= sent;
    session.life?.wrote(sent);
  }

  /**
   * True if the session has refused the call unread, so that it can be made on another (RFC 9113, section 8.7): it
   * was on its way when the server said that it takes no more, or all places were taken.
   */
  #isRefused(session: Session, error?: unknown): boolean {
    const { code } = (error ?? {}) as { readonly code?: unknown };
    const goneAway = code === "ERR_HTTP2_GOAWAY_SESSION" || code === "ERR_HTTP2_INVALID_SESSION";
    if (goneAway) session.draining = true;
    const { rstCode, id = 0 } = this.#stream ?? {};
    const unread = goneAway || rstCode === NGHTTP2_REFUSED_STREAM || id > session.lastStreamId;
    if (!unread || !this.#outbox.isRepeatable || this.#hasAnswered || this.#listener.over) return false;
    if (session.open > 1 && !session.draining) session.limit = Math.min(session.limit, session.open - 1);
    else if (++this.#refusals === MOST_TRIES) return false;
    return true;
  }

  send(message: Uint8Array, last: boolean): Promise<void> | undefined {
    if (this.#listener.over) return undefined;
    this.#halfClosed ||= last;
    const room = this.#outbox.send(message, last);
    this.#begin();
    return room;
  }

  halfClose(): void {
    if (this.#listener.over) return;
    this.#halfClosed = true;
    this.#outbox.halfClose();
    this.#begin();
  }

  reset(): void {
    if (this.#listener.over) return;
    this.#listener.mute();
    this.#over();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#stream?.resume();
  }

  /** Ends the call from this side. */
  fail(error: ConnectError): void {
    this.#listener.fail(error);
    this.#over();
  }

  #response(headers: IncomingHttpHeaders, session: Session): void {
    const stream = this.#stream!;
    this.#hasAnswered = true;
    this.#outbox.settle();
    if (!this.#answer.headers(Number(headers[":status"]), responseHeadersOf(headers))) return this.#over();
    // Only now: Deno may give data before the response to a listener that is there too early.
    stream.on("data", (chunk: Uint8Array) => {
      session.hear();
      this.#answer.body(plainBytes(chunk));
      if (this.#listener.over) this.#over();
    });
    // Trailers, if any, have come before. Without a status `close` tells why.
    stream.on("end", () => {
      if (this.#trailers !== undefined || this.#answer.isTrailersOnly) this.#ended();
    });
    if (this.#paused) stream.pause();
  }

  #ended(): void {
    this.#answer.end(this.#trailers);
    this.#over();
  }

  /** Takes what has come while the call was paused: a stream that is gone gives it to nobody unasked. */
  #readRest(stream: ClientHttp2Stream): void {
    if (!this.#hasAnswered) return;
    stream.removeAllListeners("data");
    for (let chunk: Uint8Array | null; !this.#listener.over && (chunk = stream.read()) !== null;) {
      this.#answer.body(plainBytes(chunk));
    }
  }

  #closed(stream: ClientHttp2Stream, session: Session, isGone: boolean): void {
    if (this.#listener.over) return;
    this.#readRest(stream);
    const { rstCode = 0 } = stream;
    if (this.#trailers !== undefined || (this.#answer.isTrailersOnly && rstCode === 0)) return this.#ended();
    if (isGone && (rstCode === 0 || rstCode === NGHTTP2_CANCEL)) {
      return this.fail(this.#connectionLost(session.failure ?? CLOSED));
    }
    if (rstCode === 0 && this.#hasAnswered) return this.#ended();
    this.fail(this.#lossOf(stream, session));
  }

  #lossOf({ rstCode = 0 }: ClientHttp2Stream, session: Session, error?: Error): ConnectError {
    // A runtime gives the streams of a session that broke, or was sent away, the code of the session.
    const isReset = error === undefined || (error as { readonly code?: unknown }).code === STREAM_ERROR;
    const isBroken = rstCode === 0 &&
      (error !== undefined || session.draining || session.failure !== undefined);
    if (isBroken || !isReset) {
      return this.#connectionLost(session.failure ?? session.explain(error ?? CLOSED));
    }
    const code = RESET_CODES[rstCode] ?? Code.Internal;
    const text = `the server reset the call (HTTP/2 error ${rstCode})`;
    return new ConnectError(text, code, undefined, undefined, error);
  }

  #connectionLost(error: unknown): ConnectError {
    this.#context.onConnectionLost?.();
    return connectionError(describeTarget(this.#context.endpoint), error);
  }

  /** The call is over. Tells the server, unless it knows: what is still to be sent, it does not want. */
  #over(): void {
    this.#context.onOver(this);
    this.#outbox.close();
    const stream = this.#stream;
    if (stream === undefined || (stream.writableEnded && stream.readableEnded)) return;
    // Bytes that have come in must be read, or the stream is never reported closed.
    stream.resume();
    // `close()` ends the request first (an END_STREAM before the RST_STREAM), and servers take half an upload for a
    // whole one.
    if (!this.#halfClosed) stream.end = () => stream;
    stream.close(NGHTTP2_CANCEL);
  }
}
