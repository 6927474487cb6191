import { type DescMessage, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createContextValues,
  createHandlerContext,
  type HandlerContext,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { transformInvokeImplementation } from "@connectrpc/connect/protocol";
import { MAX_PACKET_BYTES } from "../core/limits.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import { sendsOne } from "../core/grpc/stream_kind.ts";
import { DeliveryWindow } from "../core/channel/delivery_window.ts";
import { QUESTION_METHOD } from "../core/channel/question.ts";
import { type IncomingCall, type IncomingListener, ServerStreams } from "../core/channel/server_streams.ts";
import { ReceiveQueue } from "../rpc/receive_queue.ts";
import { createFrameWriter, packetBytesOf } from "../webrtc/frame_writer.ts";
import type { Peer } from "../webrtc/peer.ts";

/** Settings of a channel server. */
export interface ChannelServerOptions {
  /** Implementations by path, `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, MethodImplSpec>;
  /** True if the caller answers questions (protocol §4.11). */
  readonly isAnswering: boolean;
  /** Largest request message, in bytes. */
  readonly maxMessageBytes: number;
  /** Called for every call. */
  readonly onCall?: (path: string) => void;
  /** Delays a call, or refuses it by throwing; used by the faults of a machine. */
  readonly admit?: (path: string, signal: AbortSignal) => void | Promise<void>;
}

/** Serves gRPC on channel 0 of a peer, whose reports it receives. */
export interface ChannelServer {
  receive(frame: Uint8Array): void;
  writable(): void;
  /** The connection is lost: aborts every handler. */
  fail(reason: ConnectError): void;
}

/** Bytes that a slow handler may leave unread in one stream. */
const MAX_UNREAD_BYTES = 64 * 1024 * 1024;

/** Makes a server for one open channel. */
export function createChannelServer(peer: Peer, options: ChannelServerOptions): ChannelServer {
  const streams = new ServerStreams({
    maxMessageBytes: options.maxMessageBytes,
    packetBytes: packetBytesOf(peer),
    open: serve,
    answered: (question) => writer.answered(question),
  });
  const writer = createFrameWriter(
    peer,
    streams,
    options.isAnswering ? new DeliveryWindow(MAX_PACKET_BYTES) : undefined,
    () => fail(new ConnectError("the data channel takes no more frames", Code.Unavailable)),
  );
  const { flush } = writer;

  function serve(call: IncomingCall): IncomingListener {
    const abort = new AbortController();
    const spec = options.methods.get(call.path);
    const single = spec !== undefined && sendsOne(spec.kind);
    const input = new ReceiveQueue<Uint8Array>((bytes) => bytes, MAX_UNREAD_BYTES, {
      ended() {},
      refused: (error) => abort.abort(error),
    });
    const endInput = () => input.end({ error: undefined, trailers: new Metadata() });
    let isBegun = false;
    const begin = () => {
      if (isBegun) return;
      isBegun = true;
      options.onCall?.(call.path);
      queueMicrotask(() => run(call, spec, input, abort.signal));
    };
    // A question is not a call until it has a message.
    if (call.path !== QUESTION_METHOD) begin();
    return {
      message(bytes) {
        begin();
        input.push(bytes);
        // Such a method has its input; TypeScript callers never half-close a unary call (protocol §4.3).
        if (single) endInput();
      },
      halfClosed() {
        begin();
        endInput();
      },
      aborted(reason) {
        writer.ended(call.stream);
        input.fail(reason);
        abort.abort(reason);
      },
    };
  }

  async function run(
    call: IncomingCall,
    spec: MethodImplSpec | undefined,
    input: AsyncIterator<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const id = call.stream;
    let context: HandlerContext & { abort(reason?: unknown): void } | undefined;
    let answers: AsyncIterator<Message> | undefined;
    const header = new Metadata();
    const trailer = new Metadata();
    let isOver = false;

    function end(error?: ConnectError): void {
      if (isOver) return;
      isOver = true;
      void answers?.return?.().catch(() => {});
      for (const [name, value] of error?.metadata ?? []) trailer.append(name, value);
      context?.abort();
      streams.sendTrailers(id, error, trailer, header);
      flush();
    }

    try {
      await options.admit?.(call.path, signal);
      if (spec === undefined) throw new ConnectError("Unimplemented", Code.Unimplemented);
      context = contextOf(call, spec, signal, header, trailer);
      const { signal: ended } = context;
      ended.throwIfAborted();
      // A handler that ignores its signal must not outlive its deadline on the wire.
      ended.addEventListener("abort", () => end(ConnectError.from(ended.reason)), { once: true });
      const { input: request, output } = spec.method;
      answers = transformInvokeImplementation(spec, context, [])(parsed(request, input))
        [Symbol.asyncIterator]();
      while (!isOver) {
        const next = await answers.next();
        if (next.done === true) break;
        streams.sendHeaders(id, header);
        streams.sendMessage(id, toBinary(output, next.value));
        const room = writer.write(id);
        if (room !== undefined) await room;
      }
      end();
    } catch (error) {
      end(ConnectError.from(error, Code.Unknown));
    }
  }

  function fail(reason: ConnectError): void {
    writer.stop();
    streams.fail(reason);
  }

  return {
    receive(frame) {
      streams.receive(frame);
      if (!streams.queue.empty) flush();
    },
    writable: flush,
    fail,
  };
}

async function* parsed<I extends DescMessage>(
  schema: I,
  input: AsyncIterator<Uint8Array>,
): AsyncGenerator<ReturnType<typeof fromBinary<I>>> {
  for (;;) {
    const next = await input.next();
    if (next.done === true) return;
    try {
      yield fromBinary(schema, next.value);
    } catch (error) {
      throw new ConnectError("cannot parse the request", Code.InvalidArgument, undefined, undefined, error);
    }
  }
}

function contextOf(
  call: IncomingCall,
  spec: MethodImplSpec,
  requestSignal: AbortSignal,
  responseHeader: Metadata,
  responseTrailer: Metadata,
): HandlerContext & { abort(reason?: unknown): void } {
  const context = createHandlerContext({
    service: spec.method.parent,
    method: spec.method,
    protocolName: "webrtc",
    requestMethod: "POST",
    url: `https://webrtc${call.path}`,
    // A timeout beyond the range of a timer is no deadline: the timer would fire at once.
    ...(call.timeoutMs === undefined || call.timeoutMs >= 2 ** 31 ? {} : { timeoutMs: call.timeoutMs }),
    requestSignal,
    contextValues: createContextValues(),
  });
  // `createHandlerContext` copies its metadata into plain Headers, which lose lists.
  return Object.assign(context, { requestHeader: call.metadata, responseHeader, responseTrailer });
}
