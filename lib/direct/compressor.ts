import { Code, ConnectError } from "@connectrpc/connect";
import { COMPRESSED, concatenate, encodeEnvelope, encodeEnvelopes } from "../core/grpc/envelope.ts";

/** A way to make messages smaller (grpc/doc/compression.md). */
export interface Compressor {
  /** As `grpc-encoding` has it. */
  readonly name: string;
  compress(message: Uint8Array): Uint8Array;
  /**
   * Undoes `compress`.
   *
   * @throws whatever the data has wrong, also when it is more than `maxMessageBytes`
   */
  decompress(data: Uint8Array, maxMessageBytes: number): Uint8Array;
}

/** Messages below this, in bytes, stay as they are: there is nothing to gain. */
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

/** Whether `decompress` has failed since what came of it would be larger than allowed. */
export function isOverLimit(error: unknown): boolean {
  return (error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE";
}

/** What a carrier does to messages. */
export interface MessageOptions {
  /** Largest message taken in, in bytes. */
  readonly maxMessageBytes: number;
  /** Compresses requests, and is offered to the server for its answers. */
  readonly compressor?: Compressor | undefined;
}

/** A message in its frame, compressed where that is worth it. */
export function frameOf(message: Uint8Array, compressor: Compressor | undefined): Uint8Array<ArrayBuffer> {
  if (compressor === undefined || message.length < MIN_BYTES) return encodeEnvelope(message);
  const compressed = compressor.compress(message);
  return compressed.length < message.length
    ? encodeEnvelope(compressed, COMPRESSED)
    : encodeEnvelope(message);
}

/** Messages in their frames, one after the other. */
export function framesOf(messages: readonly Uint8Array[], compressor: Compressor | undefined): Uint8Array {
  if (compressor === undefined) return encodeEnvelopes(messages);
  return concatenate(messages.map((message) => frameOf(message, compressor)));
}

/** The compressor that an answer is read with, by its headers. */
export function compressorOf(headers: Headers, offered: Compressor | undefined): Compressor | undefined {
  return offered !== undefined && headers.get("grpc-encoding") === offered.name ? offered : undefined;
}

/** What a frame holds, decompressed if need be; an error when it cannot be read, or is too large. */
export function contentOf(
  flags: number,
  data: Uint8Array,
  compressor: Compressor | undefined,
  maxMessageBytes: number,
): Uint8Array | ConnectError {
  if ((flags & COMPRESSED) === 0) return data;
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
        : `the server sent a message that is no ${compressor.name}`,
      large ? Code.ResourceExhausted : Code.Internal,
      undefined,
      undefined,
      error,
    );
  }
}

/** The request headers that tell of it. */
export function compressionHeaders(compressor: Compressor): [name: string, value: string][] {
  return [["grpc-encoding", compressor.name], ["grpc-accept-encoding", compressor.name]];
}
