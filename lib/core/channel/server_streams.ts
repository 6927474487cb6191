import { Code, ConnectError } from "@connectrpc/connect";
import { MAX_FRAME_BYTES, MAX_PACKET_BYTES } from "../limits.ts";
import { MessageAssembler } from "./message_assembler.ts";
import { Metadata } from "../grpc/metadata.ts";
import {
  decodeRequest,
  encodeResponseHeaders,
  encodeResponsePacket,
  encodeTrailers,
  type MessageFrame,
  type RequestFrame,
} from "./packet.ts";
import type { DroppedFrames } from "./client_streams.ts";
import { FIRST_MACHINE_QUESTION, isMachineQuestion } from "./question.ts";
import { AHEAD_BYTES, SendQueue } from "./send_queue.ts";

/** A call that opens a stream. */
export type IncomingCall = RequestFrame & { readonly kind: "headers" };

/** Receives what a stream receives. */
export interface IncomingListener {
  /** A whole serialized message. */
  message(bytes: Uint8Array): void;
  /** The client sends nothing more. */
  halfClosed(): void;
  /** The call is over without the server's doing: reset, broken, or the connection is lost. */
  aborted(reason: ConnectError): void;
}

interface ServerStream {
  readonly listener: IncomingListener;
  readonly assembler: MessageAssembler;
  headersSent: boolean;
  halfClosed: boolean;
  /** Bytes that may still go ahead of the turns. */
  ahead: number;
}

/** Options of `ServerStreams`. */
export interface ServerStreamsOptions {
  /** Largest accepted message, in bytes. */
  readonly maxMessageBytes: number;
  /** Most bytes of a message in one frame. */
  readonly packetBytes?: number;
  /** Called for every new stream; the listener receives nothing before it returns. */
  readonly open: (call: IncomingCall) => IncomingListener;
  /** Called with each answer to a question. */
  readonly answered?: (question: number) => void;
}

/**
 * The server's side of gRPC over one data channel (protocol §4): the counterpart of `ClientStreams`. It does no
 * I/O: frames come in by `receive`, and go out by `queue.next` whenever the channel has room.
 */
export class ServerStreams {
  readonly #streams = new Map<number, ServerStream>();
  readonly #options: ServerStreamsOptions;
  readonly #packetBytes: number;
  #nextQuestion = FIRST_MACHINE_QUESTION;

  /** The frames that wait to be written. */
  readonly queue: SendQueue;
  readonly dropped: DroppedFrames = { malformed: 0, unknownStream: 0 };

  constructor(options: ServerStreamsOptions) {
    this.#options = options;
    this.#packetBytes = options.packetBytes ?? MAX_PACKET_BYTES;
    this.queue = new SendQueue(
      (stream, data, endOfMessage, _endOfStream, into) =>
        encodeResponsePacket(stream, data, endOfMessage, into),
      this.#packetBytes,
    );
  }

  /** Number of open streams. */
  get size(): number {
    return this.#streams.size;
  }

  /**
   * Sends response headers; does nothing the second time, or when the stream is over.
   *
   * @throws ConnectError `ResourceExhausted` when they do not fit into a frame
   */
  sendHeaders(id: number, metadata: Metadata): void {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.headersSent) return;
    const frame = fitting(encodeResponseHeaders(id, metadata), "headers");
    stream.headersSent = true;
    this.#push(id, stream, frame);
  }

  /** Queues a message. Does nothing when the stream is over. */
  sendMessage(id: number, message: Uint8Array): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (message.length <= Math.min(stream.ahead, this.#packetBytes)) {
      this.#push(id, stream, encodeResponsePacket(id, message, true));
    } else {
      stream.ahead = 0;
      this.queue.pushMessage(id, message, false);
    }
  }

  /** Ends the stream, with headers first if none were sent: clients expect them (protocol §4.4). */
  sendTrailers(id: number, error: ConnectError | undefined, metadata: Metadata, headers?: Metadata): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    let frame: Uint8Array;
    try {
      this.sendHeaders(id, headers ?? new Metadata());
      frame = fitting(encodeTrailers(id, error, metadata), "status and trailers");
    } catch (reason) {
      this.sendHeaders(id, new Metadata());
      frame = encodeTrailers(id, ConnectError.from(reason, Code.Internal), new Metadata());
    }
    this.#streams.delete(id);
    this.#push(id, stream, frame);
  }

  /** Queues a question ahead of all messages; only callers of this library answer it. Returns its number. */
  ask(): number {
    const question = this.#nextQuestion++;
    this.queue.pushControl(encodeResponseHeaders(question, new Metadata()));
    return question;
  }

  /** Takes a frame from the client. No frame makes it throw. */
  receive(bytes: Uint8Array): void {
    const frame = decodeRequest(bytes);
    if (frame.stream === undefined) {
      this.dropped.malformed++;
      return;
    }
    const stream = this.#streams.get(frame.stream);
    if (frame.kind === "headers") {
      if (stream !== undefined) {
        return this.#refuse(frame.stream, stream, Code.InvalidArgument, "headers already received");
      }
      const listener = this.#options.open(frame);
      this.#streams.set(frame.stream, {
        listener,
        assembler: new MessageAssembler(this.#options.maxMessageBytes),
        headersSent: false,
        halfClosed: false,
        ahead: AHEAD_BYTES,
      });
      return;
    }
    if (stream === undefined) {
      if (frame.kind === "reset" && isMachineQuestion(frame.stream)) {
        return this.#options.answered?.(frame.stream);
      }
      // Routine: Rust half-closes after our trailers, and Go resets finished calls (protocol §4.13).
      this.dropped.unknownStream++;
      return;
    }
    switch (frame.kind) {
      case "message":
        return this.#message(frame.stream, stream, frame);
      case "reset":
        return this.#refuse(frame.stream, stream, Code.Canceled, "request cancelled");
      case "malformed":
        this.dropped.malformed++;
        return this.#refuse(frame.stream, stream, Code.InvalidArgument, frame.reason);
    }
  }

  /** Ends every stream; the connection is lost, nothing can be written any more. */
  fail(reason: ConnectError): void {
    const streams = [...this.#streams];
    this.#streams.clear();
    for (const [id] of streams) this.queue.drop(id);
    while (this.queue.next() !== undefined);
    for (const [, { listener }] of streams) listener.aborted(reason);
  }

  /** Queues a frame ahead of the turns while the stream has sent little, and behind what it has queued otherwise. */
  #push(id: number, stream: ServerStream, frame: Uint8Array): void {
    stream.ahead -= frame.length;
    if (stream.ahead >= 0 && !this.queue.has(id)) this.queue.pushControl(frame);
    else this.queue.pushFrame(id, frame);
  }

  #message(id: number, stream: ServerStream, frame: MessageFrame): void {
    if (stream.halfClosed) return; // a message after half-close is dropped (protocol §4.13)
    if (frame.data !== undefined) {
      const message = stream.assembler.push(frame.data, frame.endOfMessage);
      if (message === "too-large") {
        const reason = `the message is over the limit of ${this.#options.maxMessageBytes} bytes`;
        return this.#refuse(id, stream, Code.ResourceExhausted, reason);
      }
      if (message !== "incomplete") stream.listener.message(message);
    }
    // Go sets eos on every packet of a unary message: it counts once the message is whole.
    if (frame.endOfStream && stream.assembler.size === 0 && this.#streams.has(id)) {
      stream.halfClosed = true;
      stream.listener.halfClosed();
    }
  }

  /** Ends one stream because of what the client sent on it; the others go on. */
  #refuse(id: number, stream: ServerStream, code: Code, reason: string): void {
    const error = new ConnectError(reason, code);
    this.queue.drop(id);
    this.sendTrailers(id, error, new Metadata());
    stream.listener.aborted(error);
  }
}

/** Returns the frame if peers accept its size; only messages are split. */
function fitting(frame: Uint8Array, what: string): Uint8Array {
  if (frame.length <= MAX_FRAME_BYTES) return frame;
  throw new ConnectError(
    `the ${what} of this call take ${frame.length} bytes; over WebRTC ${MAX_FRAME_BYTES} are the most`,
    Code.ResourceExhausted,
  );
}
