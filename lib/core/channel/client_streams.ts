import { Code, ConnectError } from "@connectrpc/connect";
import { MAX_FRAME_BYTES, MAX_PACKET_BYTES } from "../limits.ts";
import { MessageAssembler } from "./message_assembler.ts";
import { Metadata } from "../grpc/metadata.ts";
import { fromWireStatus } from "../grpc/wire_status.ts";
import {
  decodeResponse,
  encodeHalfClose,
  encodeRequestHeaders,
  encodeRequestPacket,
  encodeReset,
} from "./packet.ts";
import { encodeQuestion, isMachineQuestion } from "./question.ts";
import { AHEAD_BYTES, SendQueue } from "./send_queue.ts";

/** Receives what a stream receives; the same shape as a carrier's listener. */
export interface StreamListener {
  headers(metadata: Metadata): void;
  message(bytes: Uint8Array): void;
  end(end: { readonly error: ConnectError | undefined; readonly trailers: Metadata }): void;
}

interface ClientStream {
  readonly listener: StreamListener;
  readonly urgent: boolean;
  readonly assembler: MessageAssembler;
  headersReceived: boolean;
  halfClosed: boolean;
  hasSent: boolean;
}

/** Options of `ClientStreams`. */
export interface ClientStreamsOptions {
  /** Largest accepted message, in bytes. */
  readonly maxMessageBytes: number;
  /** Most bytes of a message in one frame. */
  readonly packetBytes?: number;
  /** Most bytes in one frame. */
  readonly maxFrameBytes?: number;
  /** Called with each answer to a question, once or twice. */
  readonly answered?: (question: number) => void;
}

/** Numbers of dropped frames, by reason. */
export interface DroppedFrames {
  malformed: number;
  /** For a stream that is not open: routine after a reset (protocol §4.9). */
  unknownStream: number;
}

/**
 * The client's side of gRPC over one data channel (protocol §4): many streams on one ordered channel. It does no
 * I/O: frames come in by `receive`, and go out by `queue.next` whenever the channel has room.
 */
export class ClientStreams {
  readonly #streams = new Map<number, ClientStream>();
  readonly #questions = new Set<number>();
  /** Cleared when the machine does not have the method: it has then answered before the reset came. */
  #resetsQuestions = true;
  readonly #options: Required<ClientStreamsOptions>;
  #nextId = 1; // Go counts from 1, Rust and TypeScript from 0; servers accept both
  #lost: ConnectError | undefined;

  /** The frames that wait to be written. */
  readonly queue: SendQueue;
  /** True once the machine has asked a question: it limits what it queues. */
  isQuestioned = false;
  readonly dropped: DroppedFrames = { malformed: 0, unknownStream: 0 };

  constructor(options: ClientStreamsOptions) {
    const defaults = { maxFrameBytes: MAX_FRAME_BYTES, packetBytes: MAX_PACKET_BYTES, answered() {} };
    this.#options = { ...defaults, ...options };
    this.queue = new SendQueue(encodeRequestPacket, this.#options.packetBytes);
  }

  /** Number of open streams. */
  get size(): number {
    return this.#streams.size;
  }

  /**
   * Opens a stream and queues its headers. Returns its id. Not to be called after `fail`.
   *
   * @throws ConnectError `ResourceExhausted` when the metadata does not fit into a frame: headers are never split
   */
  open(
    request: {
      readonly path: string;
      readonly metadata: Metadata;
      readonly constant?: boolean;
      readonly timeoutMs: (() => number) | undefined;
      readonly urgent?: boolean;
    },
    listener: StreamListener,
  ): number {
    const id = this.#nextId++;
    // Encoded first: a frame that cannot be written must not leave a stream behind.
    const { path, metadata, timeoutMs, constant } = request;
    const headers = encodeRequestHeaders(id, path, metadata, timeoutMs?.(), constant);
    const { maxFrameBytes } = this.#options;
    if (headers.length > maxFrameBytes) {
      throw new ConnectError(
        `the metadata of this call takes ${headers.length} bytes; over WebRTC ${maxFrameBytes} are the most`,
        Code.ResourceExhausted,
      );
    }
    this.#streams.set(id, {
      listener,
      urgent: request.urgent === true,
      assembler: new MessageAssembler(this.#options.maxMessageBytes),
      headersReceived: false,
      halfClosed: false,
      hasSent: false,
    });
    this.queue.pushControl(headers);
    return id;
  }

  /**
   * Queues a message. A small one that is all of its stream goes ahead of the streams that take turns, as does one of an
   * urgent stream that is one packet. Does nothing on a stream that has ended or half-closed.
   */
  send(id: number, message: Uint8Array, last: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.halfClosed) return;
    stream.halfClosed = last;
    const isSmall = last && !stream.hasSent && message.length <= AHEAD_BYTES;
    stream.hasSent = true;
    if ((stream.urgent || isSmall) && message.length <= this.#options.packetBytes) {
      this.queue.pushControl(encodeRequestPacket(id, message, true, last));
    } else {
      this.queue.pushMessage(id, message, last);
    }
  }

  /** Queues a half-close. Does nothing on a stream that has ended or half-closed. */
  halfClose(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.halfClosed) return;
    stream.halfClosed = true;
    this.queue.pushFrame(id, encodeHalfClose(id));
  }

  /** Forgets a stream and tells the server. Does nothing on one that has ended. */
  reset(id: number): void {
    if (!this.#streams.delete(id)) return;
    this.queue.drop(id);
    this.queue.pushControl(encodeReset(id));
  }

  /** Queues a question ahead of all messages. Returns its number. */
  ask(): number {
    const id = this.#nextId++;
    this.#questions.add(id);
    this.queue.pushControl(encodeQuestion(id));
    if (this.#resetsQuestions) this.queue.pushControl(encodeReset(id));
    return id;
  }

  /** Takes a frame from the server. No frame makes it throw. */
  receive(bytes: Uint8Array): void {
    const frame = decodeResponse(bytes);
    if (frame.stream === undefined) {
      this.dropped.malformed++;
      return;
    }
    const stream = this.#streams.get(frame.stream);
    if (stream === undefined) {
      if (this.#questions.has(frame.stream)) {
        if (frame.kind === "trailers") {
          this.#questions.delete(frame.stream);
          this.#resetsQuestions = frame.status?.code !== Code.Unimplemented;
        }
        return this.#options.answered(frame.stream);
      }
      if (frame.kind === "headers" && isMachineQuestion(frame.stream)) {
        this.isQuestioned = true;
        return this.queue.pushControl(encodeReset(frame.stream));
      }
      this.dropped.unknownStream++;
      return;
    }
    switch (frame.kind) {
      case "message":
        return this.#message(frame.stream, stream, frame.data, frame.endOfMessage);
      case "headers":
        if (stream.headersReceived) {
          return this.#refuse(frame.stream, stream, Code.Internal, "the server sent headers twice");
        }
        stream.headersReceived = true;
        return stream.listener.headers(frame.metadata);
      case "trailers":
        return this.#trailers(
          frame.stream,
          stream,
          fromWireStatus(frame.status, frame.metadata),
          frame.metadata,
        );
      case "malformed":
        this.dropped.malformed++;
        return this.#refuse(frame.stream, stream, Code.Internal, frame.reason);
    }
  }

  /** Ends every stream with `error`; the connection is lost, nothing can be written any more. */
  fail(error: ConnectError): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    const streams = [...this.#streams];
    this.#streams.clear();
    for (const [id] of streams) this.queue.drop(id);
    while (this.queue.next() !== undefined);
    for (const [, { listener }] of streams) listener.end({ error, trailers: new Metadata() });
  }

  #message(id: number, stream: ClientStream, data: Uint8Array | undefined, endOfMessage: boolean): void {
    if (!stream.headersReceived) {
      return this.#refuse(id, stream, Code.Internal, "the server sent a message before its headers");
    }
    if (data === undefined) {
      return this.#refuse(id, stream, Code.Internal, "the server sent a message frame without a packet");
    }
    const message = stream.assembler.push(data, endOfMessage);
    if (message === "incomplete") return;
    if (message === "too-large") {
      const reason = `the server sent a message over the limit of ${this.#options.maxMessageBytes} bytes`;
      return this.#refuse(id, stream, Code.ResourceExhausted, reason);
    }
    stream.listener.message(message);
  }

  #trailers(id: number, stream: ClientStream, error: ConnectError | undefined, trailers: Metadata): void {
    this.#streams.delete(id);
    // The server no longer wants what is not written yet (protocol §4.15).
    this.queue.drop(id);
    if (error === undefined && stream.assembler.size > 0) {
      error = new ConnectError("the call ended in the middle of a message", Code.Internal, trailers);
    }
    stream.listener.end({ error, trailers });
  }

  /** Gives up one stream because of what the server sent on it; the others go on. */
  #refuse(id: number, stream: ClientStream, code: Code, reason: string): void {
    this.reset(id);
    stream.listener.end({ error: new ConnectError(reason, code), trailers: new Metadata() });
  }
}
