import type { ConnectError } from "@connectrpc/connect";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  RequestHeadersSchema,
  RequestSchema,
  type ResponseMessage,
  ResponseSchema,
  type Stream,
} from "../../../proto/gen/proto/rpc/webrtc/v1/grpc_pb.ts";
import type { Status } from "../../../proto/gen/google/rpc/status_pb.ts";
import { Metadata } from "../grpc/metadata.ts";
import { durationOf, fromWireMetadata, millisecondsOf, toWireMetadata } from "./wire_metadata.ts";
import { toWireStatus } from "../grpc/wire_status.ts";

/*
 * Frames of gRPC over a data channel (protocol §1.3, §4): one data channel message is one serialized Request or
 * Response. Message frames, which are nearly all frames, are encoded and decoded by hand in one buffer. Every other
 * frame, and every unusual encoding of a message frame, goes through the generated code.
 */

/** A frame as the client reads it. */
export type ResponseFrame =
  | { readonly kind: "headers"; readonly stream: number; readonly metadata: Metadata }
  | MessageFrame
  | {
    readonly kind: "trailers";
    readonly stream: number;
    /** Undefined when it is OK. Not an error yet: making one takes a stack, and questions have many answers. */
    readonly status: Status | undefined;
    readonly metadata: Metadata;
  }
  | MalformedFrame;

/** A frame as the server reads it. */
export type RequestFrame =
  | {
    readonly kind: "headers";
    readonly stream: number;
    readonly path: string;
    readonly metadata: Metadata;
    /** Undefined without a deadline (zero on the wire); negative if it has passed. */
    readonly timeoutMs: number | undefined;
  }
  | MessageFrame
  | { readonly kind: "reset"; readonly stream: number }
  | MalformedFrame;

/** A slice of a message, or a bare half-close. */
export interface MessageFrame {
  readonly kind: "message";
  readonly stream: number;
  /** A view into the frame; undefined when the frame carries no message. */
  readonly data: Uint8Array | undefined;
  /** True for the last slice of its message. */
  readonly endOfMessage: boolean;
  /** True if the client half-closes; always false in responses. */
  readonly endOfStream: boolean;
}

/** A malformed frame. `stream` is known if the frame could be parsed that far. */
export interface MalformedFrame {
  readonly kind: "malformed";
  readonly stream: number | undefined;
  readonly reason: string;
}

/** Encodes the frame that opens a call. With `constant`, the same unchanged metadata is used for further calls. */
export function encodeRequestHeaders(
  stream: number,
  path: string,
  metadata: Metadata,
  timeoutMs: number | undefined,
  constant: boolean = false,
): Uint8Array {
  const opening = constant ? keptOpening(path, metadata) : encodeOpening(path, metadata);
  const timeout = timeoutMs === undefined ? EMPTY : encodeTimeout(timeoutMs);
  const size = opening.length + timeout.length;
  const frame = room(streamSize(stream) + 1 + varintSize(size) + size, undefined);
  let at = writeStream(frame, stream);
  frame[at++] = 0x12; // Request.headers
  at = writeVarint(frame, at, size);
  frame.set(opening, at);
  frame.set(timeout, at + opening.length);
  return frame;
}

/** Encodes the constant part of RequestHeaders: method and metadata. */
function encodeOpening(path: string, metadata: Metadata): Uint8Array {
  const value = { method: path, metadata: toWireMetadata(metadata) };
  return toBinary(RequestHeadersSchema, create(RequestHeadersSchema, value));
}

/** Encodes the other part; serialized messages may be concatenated from their fields. */
function encodeTimeout(timeoutMs: number): Uint8Array {
  return toBinary(RequestHeadersSchema, create(RequestHeadersSchema, { timeout: durationOf(timeoutMs) }));
}

const openings = new WeakMap<Metadata, Map<string, Uint8Array>>();

function keptOpening(path: string, metadata: Metadata): Uint8Array {
  let kept = openings.get(metadata);
  if (kept === undefined) openings.set(metadata, kept = new Map());
  let opening = kept.get(path);
  if (opening === undefined) kept.set(path, opening = encodeOpening(path, metadata));
  return opening;
}

/**
 * Encodes a slice of a request message. With `endOfStream` the client half-closes.
 *
 * @param into A buffer to write it into, if it fits; the frame is then a view of it.
 */
export function encodeRequestPacket(
  stream: number,
  data: Uint8Array,
  endOfMessage: boolean,
  endOfStream: boolean,
  into?: Uint8Array,
): Uint8Array {
  const packetSize = packetBodySize(data.length, endOfMessage);
  const messageSize = 2 + 1 + varintSize(packetSize) + packetSize + (endOfStream ? 2 : 0);
  const frame = room(streamSize(stream) + 1 + varintSize(messageSize) + messageSize, into);
  let at = writeStream(frame, stream);
  frame[at++] = 0x1a; // Request.message
  at = writeVarint(frame, at, messageSize);
  frame[at++] = 0x08; // RequestMessage.has_message
  frame[at++] = 1;
  frame[at++] = 0x12; // RequestMessage.packet_message
  at = writeVarint(frame, at, packetSize);
  at = writePacketBody(frame, at, data, endOfMessage);
  if (endOfStream) {
    frame[at++] = 0x18; // RequestMessage.eos
    frame[at++] = 1;
  }
  return frame;
}

/** Encodes a half-close without a message, as Go and TypeScript peers do (protocol §4.3). */
export function encodeHalfClose(stream: number): Uint8Array {
  return encodeShort(stream, [0x1a, 6, 0x12, 2, 0x10, 1, 0x18, 1]);
}

/** Encodes the reset of a call (protocol §4.9). */
export function encodeReset(stream: number): Uint8Array {
  return encodeShort(stream, [0x20, 1]);
}

function encodeShort(stream: number, rest: readonly number[]): Uint8Array {
  const frame = room(streamSize(stream) + rest.length, undefined);
  frame.set(rest, writeStream(frame, stream));
  return frame;
}

/** Encodes response headers. */
export function encodeResponseHeaders(stream: number, metadata: Metadata): Uint8Array {
  return encodeResponse(stream, { case: "headers", value: { metadata: toWireMetadata(metadata) } });
}

function encodeResponse(
  stream: number,
  type: Required<MessageInitShape<typeof ResponseSchema>>["type"],
): Uint8Array {
  return toBinary(ResponseSchema, create(ResponseSchema, { stream: { id: BigInt(stream) }, type }));
}

/**
 * Encodes a slice of a response message.
 *
 * @param into A buffer to write it into, if it fits; the frame is then a view of it.
 */
export function encodeResponsePacket(
  stream: number,
  data: Uint8Array,
  endOfMessage: boolean,
  into?: Uint8Array,
): Uint8Array {
  const packetSize = packetBodySize(data.length, endOfMessage);
  const messageSize = 1 + varintSize(packetSize) + packetSize;
  const frame = room(streamSize(stream) + 1 + varintSize(messageSize) + messageSize, into);
  let at = writeStream(frame, stream);
  frame[at++] = 0x1a; // Response.message
  at = writeVarint(frame, at, messageSize);
  frame[at++] = 0x0a; // ResponseMessage.packet_message
  at = writeVarint(frame, at, packetSize);
  writePacketBody(frame, at, data, endOfMessage);
  return frame;
}

/** Encodes the end of a call. An OK status is left out, as Go does (protocol §4.4). */
export function encodeTrailers(
  stream: number,
  error: ConnectError | undefined,
  metadata: Metadata,
): Uint8Array {
  const value = {
    metadata: toWireMetadata(metadata),
    ...(error === undefined ? {} : { status: toWireStatus(error) }),
  };
  return encodeResponse(stream, { case: "trailers", value });
}

/** Decodes a frame from a server. Never throws. */
export function decodeResponse(frame: Uint8Array): ResponseFrame {
  const quick = decodePacket(frame, false);
  if (quick !== undefined) return quick;
  const bare = decodeBareResponse(frame);
  if (bare !== undefined) return bare;
  let response;
  try {
    response = fromBinary(ResponseSchema, frame);
  } catch (error) {
    return { kind: "malformed", stream: undefined, reason: String(error) };
  }
  const stream = streamId(response.stream);
  if (stream === undefined) return { kind: "malformed", stream, reason: "no usable stream id" };
  switch (response.type.case) {
    case "headers":
      return { kind: "headers", stream, metadata: fromWireMetadata(response.type.value.metadata) };
    case "message":
      return { kind: "message", stream, ...packetOf(response.type.value), endOfStream: false };
    case "trailers": {
      const { status, metadata } = response.type.value;
      return { kind: "trailers", stream, status, metadata: fromWireMetadata(metadata) };
    }
    default:
      return { kind: "malformed", stream, reason: "unknown response type" };
  }
}

/** Decodes a frame from a client. Never throws. */
export function decodeRequest(frame: Uint8Array): RequestFrame {
  const quick = decodePacket(frame, true);
  if (quick !== undefined) return quick;
  let request;
  try {
    request = fromBinary(RequestSchema, frame);
  } catch (error) {
    return { kind: "malformed", stream: undefined, reason: String(error) };
  }
  const stream = streamId(request.stream);
  if (stream === undefined) return { kind: "malformed", stream, reason: "no usable stream id" };
  switch (request.type.case) {
    case "headers": {
      const { method, metadata, timeout } = request.type.value;
      return {
        kind: "headers",
        stream,
        path: method,
        metadata: fromWireMetadata(metadata),
        timeoutMs: millisecondsOf(timeout),
      };
    }
    case "message": {
      const { hasMessage, eos } = request.type.value;
      // Without has_message the packet must be ignored (protocol §4.3).
      const packet = packetOf(hasMessage ? request.type.value : {});
      return { kind: "message", stream, ...packet, endOfStream: eos };
    }
    case "rstStream":
      // An explicit `false` is a reset, too (protocol §4.9).
      return { kind: "reset", stream };
    default:
      return { kind: "malformed", stream, reason: "unknown request type" };
  }
}

function packetOf({ packetMessage: packet }: Pick<ResponseMessage, "packetMessage">) {
  return { data: packet?.data, endOfMessage: packet?.eom === true };
}

function streamId(stream: Stream | undefined): number | undefined {
  // Presence counts, since some peers start at id 0. No peer uses ids past 2^53.
  if (stream === undefined || stream.id > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  return Number(stream.id);
}

/** Decodes empty headers and trailers, which most calls have: the vectors `…1200` and `…2200`. */
function decodeBareResponse(frame: Uint8Array): ResponseFrame | undefined {
  const at = readStream(frame);
  if (at < 0 || at + 2 !== frame.length || frame[at + 1] !== 0) return undefined;
  if (frame[at] === 0x12) return { kind: "headers", stream: streamRead, metadata: new Metadata() };
  if (frame[at] !== 0x22) return undefined;
  return { kind: "trailers", stream: streamRead, status: undefined, metadata: new Metadata() };
}

// The second result of `readStream`.
let streamRead = 0;

/** Reads the stream at the start of a frame into `streamRead`. Returns the position after it, or -1. */
function readStream(frame: Uint8Array): number {
  if (frame[0] !== 0x0a || frame.length < 4) return -1;
  const idSize = frame[1]!;
  streamRead = 0;
  if (idSize === 0) return 2;
  // One byte of tag and at most four of id: ids below 2^28, which only the longest-lived channels exceed.
  if (idSize > 5 || frame[2] !== 0x08 || frame.length < 2 + idSize + 2) return -1;
  const idEnd = 2 + idSize;
  let at = 3;
  for (let shift = 0;; shift += 7) {
    const byte = frame[at++]!;
    streamRead |= (byte & 0x7f) << shift;
    if (byte < 0x80) return at === idEnd ? at : -1;
    if (at >= idEnd) return -1;
  }
}

/** Decodes the encoding of a message frame that every peer uses; returns undefined for anything else. */
function decodePacket(frame: Uint8Array, request: boolean): MessageFrame | undefined {
  const end = frame.length;
  let at = readStream(frame);
  if (at < 0) return undefined;
  const stream = streamRead;
  if (frame[at++] !== 0x1a) return undefined;
  if ((at = readLength(frame, at)) < 0 || at + lengthRead !== end) return undefined;
  let packetTag = 0x0a;
  if (request) {
    if (frame[at] !== 0x08 || frame[at + 1] !== 1) return undefined;
    at += 2;
    packetTag = 0x12;
  }
  if (frame[at++] !== packetTag) return undefined;
  if ((at = readLength(frame, at)) < 0) return undefined;
  const packetEnd = at + lengthRead;
  let endOfStream = false;
  if (packetEnd !== end) {
    if (!request || packetEnd + 2 !== end || frame[packetEnd] !== 0x18 || frame[packetEnd + 1] !== 1) {
      return undefined;
    }
    endOfStream = true;
  }
  let data: Uint8Array;
  if (frame[at] === 0x0a && at < packetEnd) {
    if ((at = readLength(frame, at + 1)) < 0) return undefined;
    const dataEnd = at + lengthRead;
    if (dataEnd > packetEnd) return undefined;
    data = frame.subarray(at, dataEnd);
    at = dataEnd;
  } else {
    data = EMPTY;
  }
  let endOfMessage = false;
  if (at !== packetEnd) {
    if (at + 2 !== packetEnd || frame[at] !== 0x10 || frame[at + 1] !== 1) return undefined;
    endOfMessage = true;
  }
  return { kind: "message", stream, data, endOfMessage, endOfStream };
}

const EMPTY: Uint8Array = new Uint8Array(0);

// The second result of `readLength`: a tuple for every length of every frame would be garbage.
let lengthRead = 0;

/** Reads a length of at most 28 bits into `lengthRead`. Returns the position after it, or -1. */
function readLength(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = bytes[at++];
    if (byte === undefined) return -1;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      lengthRead = value;
      return at;
    }
  }
  return -1;
}

/** Size of a block that small frames are cut from, and of the largest of them, in bytes. */
const BLOCK_BYTES = 8_192, MAX_CUT_BYTES = 1_024;

/** The block, and where the rest of it begins: a buffer of its own for each frame costs more than all else in it. */
let block = new Uint8Array(0), blockRest = 0;

function room(size: number, into: Uint8Array | undefined): Uint8Array {
  if (into !== undefined && size <= into.length) return into.subarray(0, size);
  if (size > MAX_CUT_BYTES) return new Uint8Array(size);
  if (blockRest + size > block.length) {
    block = new Uint8Array(BLOCK_BYTES);
    blockRest = 0;
  }
  return block.subarray(blockRest, blockRest += size);
}

function varintSize(value: number): number {
  let size = 1;
  while (value >= 0x80) {
    value = Math.floor(value / 0x80);
    size++;
  }
  return size;
}

function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  while (value >= 0x80) {
    bytes[at++] = (value % 0x80) | 0x80;
    value = Math.floor(value / 0x80);
  }
  bytes[at++] = value;
  return at;
}

/** Size of the stream at the start of a frame. */
function streamSize(stream: number): number {
  return stream === 0 ? 2 : 3 + varintSize(stream);
}

function writeStream(frame: Uint8Array, stream: number): number {
  frame[0] = 0x0a; // stream, present even for id 0 (protocol §4.2)
  frame[1] = streamSize(stream) - 2;
  if (stream === 0) return 2;
  frame[2] = 0x08;
  return writeVarint(frame, 3, stream);
}

function packetBodySize(length: number, endOfMessage: boolean): number {
  return (length === 0 ? 0 : 1 + varintSize(length) + length) + (endOfMessage ? 2 : 0);
}

function writePacketBody(frame: Uint8Array, at: number, data: Uint8Array, endOfMessage: boolean): number {
  if (data.length > 0) {
    frame[at++] = 0x0a; // PacketMessage.data
    at = writeVarint(frame, at, data.length);
    frame.set(data, at);
    at += data.length;
  }
  if (endOfMessage) {
    frame[at++] = 0x10; // PacketMessage.eom
    frame[at++] = 1;
  }
  return at;
}
