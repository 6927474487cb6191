import { Code, ConnectError } from "@connectrpc/connect";
import { EnvelopeReader, TRAILERS } from "../core/grpc/envelope.ts";
import {
  endOf,
  type HeaderReader,
  isContentType,
  parseTrailers,
  refuseResponse,
  type StatusEnd,
  withoutStatus,
} from "../core/grpc/grpc_status.ts";
import type { Metadata } from "../core/grpc/metadata.ts";
import { addHeaders } from "../rpc/add_headers.ts";
import type { CallEnd } from "../rpc/carrier.ts";
import type { EndingListener } from "./call_ending.ts";
import { type Compressor, compressorOf, contentOf, type MessageOptions } from "./compressor.ts";

/** Rules for reading an answer. */
export interface AnswerReaderOptions extends MessageOptions {
  /** gRPC has its trailers in HTTP's, gRPC-Web in the last frame of the body. */
  readonly protocol: "grpc" | "grpc-web";
}

/** The headers of a response. */
export interface ResponseHeaders extends HeaderReader {
  /** Makes metadata of all of them, the same each time. */
  readonly all: () => Metadata;
}

/**
 * Reads the answer to a call, of gRPC or of gRPC-Web, and tells the listener what is in it. A status among the headers
 * counts if no message follows and no other status (`Trailers-Only` of gRPC over HTTP/2).
 */
export class AnswerReader {
  readonly #listener: EndingListener;
  readonly #options: AnswerReaderOptions;
  readonly #envelopes: EnvelopeReader;
  #compressor: Compressor | undefined;
  #headers: ResponseHeaders | undefined;
  /** The status among the headers. */
  #immediate: CallEnd | undefined;
  /** The error of the HTTP status, if no status of gRPC follows. */
  #refusal: ConnectError | undefined;
  /** Headers with an error among them, not told to the listener yet. */
  #withheld: ResponseHeaders | undefined;

  constructor(listener: EndingListener, options: AnswerReaderOptions) {
    this.#listener = listener;
    this.#options = options;
    this.#envelopes = new EnvelopeReader(options.maxMessageBytes);
  }

  /** True if the headers end the call unless something follows. */
  get isTrailersOnly(): boolean {
    return this.#immediate !== undefined || this.#refusal !== undefined;
  }

  /** @returns false when the call is over: nobody wants the body. */
  headers(httpStatus: number, headers: ResponseHeaders): boolean {
    const { protocol, compressor } = this.#options;
    this.#headers = headers;
    const immediate = headers.get("grpc-status") === null ? undefined : endOf(headers.all());
    const refusal = refuseResponse(httpStatus, headers, protocol, compressor?.name);
    if (refusal !== undefined) {
      addHeaders(refusal.metadata, headers.all());
      // A server of another mind about content types may still say what the error is; grpclib sends none with errors.
      if (immediate?.error !== undefined) this.#listener.end(immediate);
      else if (httpStatus !== 200 && isContentType(headers.get("content-type"), protocol)) {
        this.#refusal = refusal;
        this.#withheld = headers;
        return true;
      } else this.#listener.fail(refusal, headers.all());
      return false;
    }
    this.#compressor = compressorOf(headers, compressor);
    this.#immediate = immediate;
    if (immediate?.error === undefined) this.#listener.headers(headers.all);
    else this.#withheld = headers;
    return true;
  }

  /** Takes a part of the body. */
  body(chunk: Uint8Array): void {
    if (this.#listener.over) return;
    const { maxMessageBytes } = this.#options;
    const problem = this.#envelopes.push(chunk, (flags, data) => {
      const isTrailers = (flags & TRAILERS) !== 0 && this.#options.protocol === "grpc-web";
      const content = contentOf(
        isTrailers ? flags - TRAILERS : flags,
        data,
        this.#compressor,
        maxMessageBytes,
      );
      if (this.#refusal !== undefined && !isTrailers) return true;
      if (content instanceof ConnectError) {
        this.#listener.fail(content);
      } else if (isTrailers) {
        this.end(endOf(parseTrailers(content)));
      } else {
        this.#releaseHeaders();
        this.#listener.message(content);
      }
      return !this.#listener.over;
    });
    if (problem === undefined) return;
    this.#listener.fail(
      this.#refusal ??
        new ConnectError(
          `the server sent a message of ${problem.oversized} bytes, over the limit of ${maxMessageBytes}`,
          Code.ResourceExhausted,
        ),
    );
  }

  /** The answer is read to its end, and its trailers, if there are any, tell this. */
  end(told: StatusEnd | undefined): void {
    if (this.#listener.over) return;
    if (this.#refusal !== undefined && told?.error === undefined) {
      return this.#listener.fail(this.#refusal, told?.trailers);
    }
    const { atBoundary } = this.#envelopes;
    // Go's gRPC-Web writes an empty frame of trailers after an error that it has put among the headers.
    const end = told?.known === true ? told : atBoundary ? this.#immediate : undefined;
    if (told?.known === true) this.#releaseHeaders();
    if (end !== undefined && (atBoundary || end.error !== undefined)) {
      this.#listener.end(end);
    } else {
      const problem = atBoundary
        ? withoutStatus(this.#headers, told?.trailers)
        : new ConnectError("the call ended in the middle of a message", Code.Internal);
      this.#listener.fail(problem, told?.trailers);
    }
  }

  /** Something follows the headers, so that a status among them does not count. */
  #releaseHeaders(): void {
    this.#immediate = undefined;
    if (this.#withheld !== undefined) this.#listener.headers(this.#withheld.all);
    this.#withheld = undefined;
  }
}
