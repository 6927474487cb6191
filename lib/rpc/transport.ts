import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type Interceptor,
  type StreamResponse,
  type Transport,
  type UnaryResponse,
} from "@connectrpc/connect";
import { runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import { Metadata } from "../core/grpc/metadata.ts";
import { TrafficCounts } from "../core/grpc/traffic_counts.ts";
import { abortable } from "../runtime/abortable.ts";
import { isSessionExpired } from "../core/session/session_expired.ts";
import { type Authorization, tokenFor } from "./authorization.ts";
import { type CallSessions, sendInSession, SESSION_KEY, sessionFor } from "./call_sessions.ts";
import type { CallRequest, Carrier, UnaryAnswer } from "./carrier.ts";
import { type Deadline, deadlineOf, endWithin, linkDeadline } from "./deadline.ts";
import { HeaderAdder } from "./header_adder.ts";
import { parse, serialize } from "./message_codec.ts";
import { openerWithSession } from "./session_stream.ts";
import { STREAM_OVER } from "./stream_over.ts";
import { startStreamingCall } from "./streaming_call.ts";
import { unaryCall } from "./unary_call.ts";

/** Options of a transport. */
export interface TransportOptions {
  /**
   * The carrier to open a call on. A promise while it is being replaced: the call waits for it, within its own
   * deadline; a rejection is the call's error.
   */
  readonly carrier: () => Carrier | Promise<Carrier>;
  /** URL in front of the method's path, for interceptors. */
  readonly baseUrl: string;
  readonly interceptors?: readonly Interceptor[];
  /** Metadata of every call; a call's own of the same name takes precedence. */
  readonly headers?: Metadata;
  readonly authorization?: Authorization | undefined;
  /** Gives the session of monitored calls; without it they carry none. */
  readonly sessions?: CallSessions | undefined;
  /** Sends unary calls ahead of the messages of others. */
  readonly urgent?: boolean;
  /** Counts every call. */
  readonly counts?: TrafficCounts;
  /** Most bytes that wait for a slow reader of one stream. */
  readonly maxBufferedBytes: number;
}

/**
 * A Connect transport over carriers: the same interceptors, deadlines, cancellation, status and limits whichever
 * way the bytes go. Calls run through Connect's own `runUnaryCall` and `runStreamingCall`.
 */
export function createCarrierTransport(options: TransportOptions): Transport {
  const { authorization, sessions, urgent = false } = options;
  const interceptors = [...options.interceptors ?? []];
  const channelMetadata = new Metadata(options.headers);
  const channelHeaders = [...channelMetadata.lists()];
  const tokens = new HeaderAdder("authorization");
  const sessionIds = new HeaderAdder(SESSION_KEY);
  const counts = options.counts ?? new TrafficCounts();

  /** The request metadata of one call: its own, then the channel's. */
  function metadataOf(header: HeadersInit | undefined): Metadata {
    const metadata = new Metadata(header);
    for (const [name, values] of channelHeaders) {
      if (metadata.has(name)) continue;
      for (const value of values) metadata.append(name, value);
    }
    return metadata;
  }

  function requestOf(
    method: DescMethodUnary | DescMethodStreaming,
    header: HeadersInit | undefined,
    contextValues: ContextValues | undefined,
  ) {
    return {
      service: method.parent,
      requestMethod: "POST",
      url: `${options.baseUrl}${pathOf(method)}`,
      header: metadataOf(header),
      contextValues: contextValues ?? createContextValues(),
    };
  }

  async function unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    const deadline = deadlineOf(timeoutMs);
    if (interceptors.length > 0) {
      return await runUnaryCall<I, O>({
        interceptors,
        ...(deadline.timeoutMs === undefined ? {} : { timeoutMs: deadline.timeoutMs }),
        ...(signal === undefined ? {} : { signal }),
        req: { ...requestOf(method, header, contextValues), stream: false, method, message: input },
        next: (request) =>
          exchange(method, request.message, Metadata.from(request.header), deadline, request.signal),
      });
    }
    // What Connect makes for interceptors to see (a request, and a signal of its own for every call) costs as much as a
    // third of a call on loopback.
    const message = create(method.input, input);
    const metadata = header === undefined ? channelMetadata : metadataOf(header);
    const linked = deadline.timeoutMs === undefined ? undefined : linkDeadline(signal, deadline);
    const ended = linked?.signal ?? signal;
    try {
      return await exchange(method, message, metadata, deadline, ended);
    } catch (error) {
      throw ended?.aborted === true
        ? ConnectError.from(ended.reason, Code.Canceled)
        : ConnectError.from(error);
    } finally {
      linked?.release();
    }
  }

  async function exchange<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageShape<I>,
    metadata: Metadata,
    deadline: Deadline,
    signal: AbortSignal | undefined,
  ): Promise<UnaryResponse<I, O>> {
    const bytes = serialize(method, message);
    const constant = metadata === channelMetadata;
    counts.started++;
    counts.sent(bytes.length);
    async function send(sessionId: string | undefined): Promise<UnaryAnswer> {
      let token: string | undefined;
      try {
        const pending = tokenFor(method, authorization, signal);
        token = pending instanceof Promise ? await pending : pending;
        const carrier = abortable(options.carrier(), signal);
        const ready = carrier instanceof Promise ? await carrier : carrier;
        const request: CallRequest = {
          path: pathOf(method),
          kind: "unary",
          metadata: addOwn(token, sessionId, metadata, constant),
          constant,
          timeoutMs: deadline.left,
          urgent,
        };
        return await unaryCall(ready, request, bytes, signal);
      } catch (error) {
        noteRefusal(error, token);
        throw error;
      }
    }
    let answer: UnaryAnswer;
    try {
      answer = await (sessions === undefined
        ? send(undefined)
        : sendInSession(sessions, method, metadata, signal, send));
    } catch (error) {
      counts.ended(error);
      throw error instanceof ConnectError ? endWithin(deadline, error) : error;
    }
    counts.received(answer.message.length);
    counts.ended(undefined);
    return {
      stream: false,
      service: method.parent,
      method,
      get header() {
        return answer.headers;
      },
      get trailer() {
        return answer.trailers;
      },
      message: parse(method, answer.message),
    };
  }

  async function stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    const deadline = deadlineOf(timeoutMs);
    let leave = () => {};
    // Connect's own deadline would run on, and its listener stay with the caller's signal, until somebody reads the end;
    // ours go with the call. An interceptor may make several of one.
    const linked = deadline.timeoutMs === undefined && signal === undefined
      ? undefined
      : linkDeadline(signal, deadline);
    let open = 0, isAnswered = false;
    const settle = () => {
      if (open === 0 && isAnswered) linked?.release();
    };
    const response = await runStreamingCall<I, O>({
      interceptors,
      ...(linked === undefined ? {} : { signal: linked.signal }),
      req: { ...requestOf(method, header, contextValues), stream: true, method, message: input },
      async next(request) {
        if (linked !== undefined) request.signal.addEventListener("abort", linked.release, { once: true });
        const metadata = Metadata.from(request.header);
        let sessionId = await sessionFor(method, sessions, metadata, request.signal);
        const token = await tokenFor(method, authorization, request.signal);
        const carrier = await abortable(options.carrier(), request.signal);
        async function renewSession(): Promise<string | undefined> {
          noteExpiry();
          return sessionId = await sessionFor(method, sessions, metadata, request.signal);
        }
        function noteExpiry(): void {
          if (sessionId !== undefined) sessions?.expired(sessionId);
        }
        const answer = startStreamingCall({
          carrier: sessionId === undefined ? carrier : openerWithSession(carrier, renewSession),
          request: {
            path: pathOf(method),
            kind: method.methodKind,
            metadata: addOwn(token, sessionId, metadata, false),
            timeoutMs: deadline.left,
          },
          input: request.message,
          serialize: (message: MessageShape<I>) => serialize(method, message),
          parse: (bytes) => parse(method, bytes),
          signal: request.signal,
          maxBufferedBytes: options.maxBufferedBytes,
          counts,
          errorOf: (error) => endWithin(deadline, error),
          onEnd(error) {
            noteRefusal(error, token);
            if (isSessionExpired(error)) noteExpiry();
            open--;
            settle();
            STREAM_OVER.get(request.signal)?.(error);
          },
        });
        open++;
        leave = answer.leave;
        return {
          stream: true,
          service: method.parent,
          method,
          header: await answer.headers,
          trailer: answer.trailers,
          message: { [Symbol.asyncIterator]: () => answer.messages },
        };
      },
    }).catch((error) => {
      linked?.release();
      throw error;
    });
    isAnswered = true;
    settle();
    return { ...response, message: leavable(response.message, () => leave()) };
  }

  /** Adds what is the channel's to say: metadata of a call never replaces its token. */
  function addOwn(
    token: string | undefined,
    sessionId: string | undefined,
    metadata: Metadata,
    constant: boolean,
  ): Metadata {
    const tokened = token === undefined ? metadata : tokens.add(`Bearer ${token}`, metadata, constant);
    return sessionId === undefined ? tokened : sessionIds.add(sessionId, tokened, constant);
  }

  /** A token that the server refused is not sent again; the call it refused is not repeated. */
  function noteRefusal(error: unknown, token: string | undefined): void {
    if (token !== undefined && error instanceof ConnectError && error.code === Code.Unauthenticated) {
      authorization?.refused(token);
    }
  }

  return { unary, stream };
}

function pathOf(method: DescMethodUnary | DescMethodStreaming): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Leaves the streams whose readers are gone: Connect's clients do not say that a loop was broken off. */
const unread = new FinalizationRegistry<() => void>((leave) => leave());

/** Adds what `runStreamingCall` leaves out: a reader that breaks out of its loop resets the call at once. */
function leavable<T>(messages: AsyncIterable<T>, leave: () => void): AsyncIterable<T> {
  const left: AsyncIterable<T> = {
    [Symbol.asyncIterator](): AsyncIterator<T> {
      const iterator = messages[Symbol.asyncIterator]();
      return {
        next: () => iterator.next(),
        return: async () => {
          unread.unregister(left);
          leave();
          // One more read lets Connect leave the caller's signal.
          await iterator.next().catch(() => {});
          return { done: true, value: undefined };
        },
      };
    },
  };
  unread.register(left, leave, left);
  return left;
}
