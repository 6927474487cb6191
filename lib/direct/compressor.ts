import { Code, ConnectError } from "@connectrpc/connect";
import { concatenate } from "../core/bytes.ts";
import { type Allocate, COMPRESSED, encodeEnvelope, encodeEnvelopes } from "../core/grpc/envelope.ts";
import { type HeaderReader, undoubled } from "../core/grpc/grpc_status.ts";
import type { CarrierLimits } from "../rpc/carrier.ts";

/** A compression of messages (grpc/doc/compression.md). */
export interface Compressor {
  /** Its name in `grpc-encoding`. */
  readonly name: string;
  compress(message: Uint8Array): Uint8Array;
  /**
   * Undoes `compress`.
   *
   * @throws the error of invalid data, or of more than `maxMessageBytes`
   */
  decompress(data: Uint8Array, maxMessageBytes: number): Uint8Array;
}

/** Size below which messages stay uncompressed, in bytes, since there is nothing to gain. */
const MIN_BYTES = 1_024;

/** Loads gzip. */
export async function loadGzip(): Promise<Compressor> {
  const { gunzipSync, gzipSync } = await import("node:zlib");
  return {
    name: "gzip",
    compress: (message) => gzipSync(message),
    decompress: (data, maxMessageBytes) => gunzipSync(data, { maxOutputLength: maxMessageBytes }),
  };
}

/** True if `decompress` failed because the result would exceed the limit. */
export function isOverLimit(error: unknown): boolean {
  return (error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE";
}

/** The treatment of messages by a carrier. */
export interface MessageOptions extends CarrierLimits {
  /** Compresses requests, and is offered to the server for its responses. */
  readonly compressor?: Compressor | undefined;
}

/** Encodes a message in its frame, compressed if that is worth it. */
export function frameOf(
  message: Uint8Array,
  compressor: Compressor | undefined,
  allocate?: Allocate,
): Uint8Array<ArrayBuffer> {
  if (compressor === undefined || message.length < MIN_BYTES) return encodeEnvelope(message, 0, allocate);
  const compressed = compressor.compress(message);
  return compressed.length < message.length
    ? encodeEnvelope(compressed, COMPRESSED, allocate)
    : encodeEnvelope(message, 0, allocate);
}

/** Encodes messages in their frames, one after the other. */
export function framesOf(
  messages: readonly Uint8Array[],
  compressor: Compressor | undefined,
  allocate?: Allocate,
): Uint8Array {
  if (compressor === undefined) return encodeEnvelopes(messages, allocate);
  if (messages.length === 1) return frameOf(messages[0]!, compressor, allocate);
  return concatenate(messages.map((message) => frameOf(message, compressor)));
}

/** Returns the compressor of a response, by its headers. */
export function compressorOf(headers: HeaderReader, offered: Compressor | undefined): Compressor | undefined {
  return offered !== undefined && undoubled(headers.get("grpc-encoding") ?? "") === offered.name
    ? offered
    : undefined;
}

/** Returns the content of a frame, decompressed if necessary; an error if it cannot be read or is too large. */
export function contentOf(
  flags: number,
  data: Uint8Array,
  compressor: Compressor | undefined,
  maxMessageBytes: number,
): Uint8Array | ConnectError {
  if (flags === 0) return data;
  if (flags !== COMPRESSED) {
    return new ConnectError(`the server sent a frame with unknown flags: ${flags}`, Code.Internal);
  }
  if (compressor === undefined) {
    return new ConnectError("the server sent a compressed message unasked", Code.Internal);
  }
  try {
    return compressor.decompress(data, maxMessageBytes);
  } catch (error) {
    const large = isOverLimit(error);
    return new ConnectError(
      large
        ? `the server sent a message over the limit of ${maxMessageBytes} bytes`
        : `the server sent a message that is not valid ${compressor.name}`,
      large ? Code.ResourceExhausted : Code.Internal,
      undefined,
      undefined,
      error,
    );
  }
}

/** Returns the request headers of a compression. */
export function compressionHeaders(compressor: Compressor): [name: string, value: string][] {
  return [["grpc-encoding", compressor.name], ["grpc-accept-encoding", compressor.name]];
}
