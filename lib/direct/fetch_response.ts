import { Code, ConnectError } from "@connectrpc/connect";
import { EnvelopeReader, readSingleAnswer, TRAILERS } from "../core/grpc/envelope.ts";
import { endOf, isPlainOk, parseTrailers, refuseResponse } from "../core/grpc/grpc_status.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import type { CallEnd, UnaryAnswer } from "../rpc/carrier.ts";
import { AnswerCollector } from "../rpc/unary_call.ts";
import { RUNTIME } from "../runtime/runtime.ts";
import { ending, type EndingListener } from "./call_ending.ts";
import { type Compressor, compressorOf, contentOf, type MessageOptions } from "./compressor.ts";

/** A body that is read at once, whatever is in it. */
const SHORT_BODY_BYTES = 65_536;

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

/** Reads the answer to a unary call. Rejects with the `ConnectError` that ended it. */
export async function readUnaryResponse(
  response: Response,
  options: MessageOptions,
): Promise<UnaryAnswer> {
  const { headers } = response;
  if (!isShort(headers) || !isPlainAnswer(response)) {
    return await collect(response, options);
  }
  const body = new Uint8Array(await response.arrayBuffer());
  // Nearly every answer: one message, and trailers that say OK and nothing else.
  const single = readSingleAnswer(body, options.maxMessageBytes);
  if (single !== undefined && isPlainOk(body, single.trailersAt)) {
    return { headers, message: single.message, trailers: new Metadata() };
  }
  return await new Promise((resolve, reject) => {
    const listener = ending(new AnswerCollector(resolve, reject));
    listener.headers(new Metadata(headers));
    const reader = new BodyReader(listener, headers, options);
    reader.read(body);
    reader.end();
  });
}

/** Whether an answer is what its headers lead to expect: not an error, and with a status yet to come. */
function isPlainAnswer({ status, headers }: Response): boolean {
  return headers.get("grpc-status") === null && refuseResponse(status, headers, "grpc-web") === undefined;
}

function collect(response: Response, options: MessageOptions): Promise<UnaryAnswer> {
  return new Promise((resolve, reject) => {
    const listener = ending(new AnswerCollector(resolve, reject));
    readResponse(response, listener, new Reading(), options)
      // What is left of a body would keep its connection from the next call.
      .then((whole) => whole ? undefined : response.body?.cancel())
      .catch(reject);
  });
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
  options: MessageOptions,
): Promise<boolean> {
  const headers = new Metadata(response.headers);
  const refusal = refuseResponse(response.status, headers, "grpc-web", options.compressor?.name);
  // Trailers-only: the status is among the headers, and counts if there is no body.
  const immediate = headers.has("grpc-status") ? endOf(headers) : undefined;
  if (refusal !== undefined) {
    // A server of another mind about content types may still say what the error is.
    if (immediate?.error === undefined) listener.fail(refusal, headers);
    else listener.end(immediate);
    await response.body?.cancel();
    return false;
  }
  if (immediate?.error === undefined) listener.headers(headers);
  const body = new BodyReader(listener, headers, options, immediate);
  // Both runtimes read a short body whole faster than chunk by chunk.
  if (isShort(response.headers)) {
    body.read(new Uint8Array(await response.arrayBuffer()));
    body.end();
    return true;
  }
  if (response.body === null) {
    body.end();
    return true;
  }
  const read = readerOf(response.body);
  for (;;) {
    if (reading.wait !== undefined) await reading.wait;
    const over = listener.over;
    const chunk = await read();
    if (chunk === undefined) {
      body.end();
      return true;
    }
    // After the trailers there is but the end of the body.
    if (over) return false;
    body.read(chunk);
  }
}

/** Bytes read at a time on Deno. */
const CHUNK_BYTES = 262_144;

/**
 * Reads a body chunk by chunk; undefined at its end. On Deno into one buffer, again and again: by itself it makes and
 * clears 64 KiB for every chunk, however small, which takes longer than all the rest.
 */
function readerOf(body: ReadableStream<Uint8Array>): () => Promise<Uint8Array | undefined> {
  const reader = REUSES_CHUNKS ? bufferedReaderOf(body) : undefined;
  if (reader === undefined) {
    const plain = body.getReader();
    return async () => (await plain.read()).value;
  }
  let buffer = new ArrayBuffer(CHUNK_BYTES);
  return async () => {
    const { done, value } = await reader.read(new Uint8Array(buffer));
    if (done || value === undefined) return undefined;
    buffer = value.buffer;
    return value;
  };
}

/** Undefined for a body that is no stream of bytes: one that a program made, in the place of `fetch`. */
function bufferedReaderOf(body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return body.getReader({ mode: "byob" });
  } catch {
    return undefined;
  }
}

const REUSES_CHUNKS = RUNTIME === "deno";

/** Both runtimes read a short body whole faster than chunk by chunk. */
function isShort(headers: Headers): boolean {
  return Number(headers.get("content-length") ?? Infinity) <= SHORT_BODY_BYTES;
}

/** Takes a gRPC-Web body apart and tells the listener what is in it. */
class BodyReader {
  readonly #listener: EndingListener;
  readonly #envelopes: EnvelopeReader;
  readonly #maxMessageBytes: number;
  readonly #headers: Headers;
  readonly #compressor: Compressor | undefined;
  /** What the headers say of the call's end; nothing any more once there is a body. */
  #immediate: CallEnd | undefined;

  constructor(listener: EndingListener, headers: Headers, options: MessageOptions, immediate?: CallEnd) {
    this.#listener = listener;
    this.#headers = headers;
    this.#compressor = compressorOf(headers, options.compressor);
    this.#immediate = immediate;
    this.#envelopes = new EnvelopeReader(options.maxMessageBytes, !REUSES_CHUNKS);
    this.#maxMessageBytes = options.maxMessageBytes;
  }

  read(chunk: Uint8Array): void {
    const problem = this.#envelopes.push(chunk, (flags, data) => this.#take(flags, data));
    if (problem === undefined) return;
    this.#listener.fail(
      new ConnectError(
        `the server sent a message of ${problem.oversized} bytes, over the limit of ${this.#maxMessageBytes}`,
        Code.ResourceExhausted,
      ),
    );
  }

  /** The body is read to its end. */
  end(): void {
    if (this.#listener.over) return;
    if (this.#immediate !== undefined && this.#envelopes.atBoundary) {
      return this.#listener.end(this.#immediate);
    }
    const where = this.#envelopes.atBoundary ? "without trailers" : "in the middle of a message";
    this.#listener.fail(new ConnectError(`the answer ended ${where}`, Code.Internal));
  }

  #take(flags: number, data: Uint8Array): boolean {
    const listener = this.#listener;
    if (this.#immediate !== undefined) {
      if (this.#immediate.error !== undefined) listener.headers(Metadata.from(this.#headers));
      this.#immediate = undefined;
    }
    const content = contentOf(flags, data, this.#compressor, this.#maxMessageBytes);
    if (content instanceof ConnectError) listener.fail(content);
    else if ((flags & TRAILERS) !== 0) finish(parseTrailers(content), listener);
    else listener.message(content);
    return !listener.over;
  }
}

function finish(trailers: Metadata, listener: EndingListener): void {
  const end = endOf(trailers);
  if (end.known) listener.end(end);
  else listener.fail(new ConnectError("the server sent no status", Code.Internal), trailers);
}
