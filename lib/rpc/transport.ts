import {
  create,
  type DescMessage,
  type DescMethod,
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
import { MAX_MESSAGE_BYTES } from "../core/limits.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import { TrafficCounts } from "../core/grpc/traffic_counts.ts";
import { addHeaders } from "./add_headers.ts";
import { abortable } from "../runtime/abortable.ts";
import type { Authorization } from "./authorization.ts";
import { type Opener, openerWithToken } from "./authorized_call.ts";
import type { Call, CallRequest, Carrier, UnaryAnswer } from "./carrier.ts";
import { linkAbort } from "../runtime/linked_abort.ts";
import { messageFromBytes, messageToBytes } from "./raw_method.ts";
import { ReceiveQueue } from "./receive_queue.ts";
import { STREAM_OVER } from "./stream_over.ts";
import { unaryCall } from "./unary_call.ts";

/** What a transport is made with. */
export interface TransportOptions {
  /**
   * The carrier to open a call on. A promise while it is being replaced: the call waits for it, within its own
   * deadline; a rejection is the call's error.
   */
  readonly carrier: () => Carrier | Promise<Carrier>;
  /** What interceptors see in front of the method's path. */
  readonly baseUrl: string;
  readonly interceptors?: readonly Interceptor[];
  /** Metadata of every call; a call's own of the same name goes before it. */
  readonly headers?: Metadata;
  readonly authorization?: Authorization | undefined;
  /** Told of every call; nobody is, by default. */
  readonly counts?: TrafficCounts;
  /** What a slow reader of one stream may hold, in bytes. */
  readonly maxBufferedBytes: number;
}

/**
 * A Connect transport over carriers: the same interceptors, deadlines, cancellation, status and limits whichever
 * way the bytes go. Calls run through Connect's own `runUnaryCall` and `runStreamingCall`.
 */
export function createCarrierTransport(options: TransportOptions): Transport {
  const interceptors = [...options.interceptors ?? []];
  const channelMetadata = new Metadata(options.headers);
  const channelHeaders = [...channelMetadata.lists()];
  const tokens = new TokenAdder();
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

  function unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    message: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    let deadline: Deadline;
    try {
      deadline = deadlineOf(timeoutMs);
    } catch (error) {
      return Promise.reject(error);
    }
    if (interceptors.length === 0) return unarySeenByNobody(method, signal, deadline, header, message);
    return runUnaryCall<I, O>({
      interceptors,
      ...deadline.option,
      ...(signal === undefined ? {} : { signal }),
      req: {
        stream: false,
        service: method.parent,
        method,
        requestMethod: "POST",
        url: `${options.baseUrl}${pathOf(method)}`,
        header: metadataOf(header),
        contextValues: contextValues ?? createContextValues(),
        message,
      },
      next: (request) =>
        exchange(
          method,
          request.message,
          { metadata: Metadata.from(request.header), constant: false },
          deadline,
          request.signal,
        ),
    });
  }

  /**
   * A unary call without interceptors: what Connect's `runUnaryCall` makes for them to see (a request, and a signal
   * of its own for every call) is left out, which on loopback costs as much as a third of the call.
   */
  async function unarySeenByNobody<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    deadline: Deadline,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    const message = create(method.input, input);
    const metadata = header === undefined
      ? { metadata: channelMetadata, constant: true }
      : { metadata: metadataOf(header), constant: false };
    const bound = boundOf(signal, deadline);
    try {
      return await exchange(method, message, metadata, deadline, bound?.signal);
    } catch (error) {
      throw bound?.signal.aborted === true
        ? ConnectError.from(bound.signal.reason, Code.Canceled)
        : ConnectError.from(error);
    } finally {
      bound?.release();
    }
  }

  async function exchange<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageShape<I>,
    { metadata, constant }: RequestMetadata,
    deadline: Deadline,
    signal: AbortSignal | undefined,
  ): Promise<UnaryResponse<I, O>> {
    const bytes = serialize(method, message);
    const path = pathOf(method);
    const open = (token: string | undefined): Promise<UnaryAnswer> => {
      const carrier = currentCarrier(options, signal);
      const start = (ready: Carrier) => {
        const request: CallRequest = {
          path,
          kind: "unary",
          metadata: token === undefined ? metadata : tokens.add(token, metadata, constant),
          constant,
          timeoutMs: deadline.left(),
        };
        return unaryCall(ready, request, bytes, signal);
      };
      return carrier instanceof Promise ? carrier.then(start) : start(carrier);
    };
    const { authorization } = options;
    counts.started++;
    counts.sent(bytes.length);
    let answer: UnaryAnswer;
    try {
      answer = await (authorization === undefined || isExempt(method)
        ? open(undefined)
        : authorized(authorization, signal, open));
    } catch (error) {
      counts.ended(error);
      throw error;
    }
    counts.received(answer.message.length);
    counts.ended(undefined);
    return {
      stream: false,
      service: method.parent,
      method,
      header: answer.headers,
      trailer: answer.trailers,
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
    const url = `${options.baseUrl}${pathOf(method)}`;
    let leave = () => {};
    const bound = boundOf(signal, deadline);
    // Connect's own deadline would run on until somebody reads the end; ours stops with the call. An interceptor may
    // make several of one.
    let open = 0, isAnswered = false;
    const settle = () => {
      if (open === 0 && isAnswered) bound?.stopTimer();
    };
    const ended = () => {
      open--;
      settle();
    };
    const response = await runStreamingCall<I, O>({
      interceptors,
      ...(bound === undefined ? {} : { signal: bound.signal }),
      req: {
        stream: true,
        service: method.parent,
        method,
        requestMethod: "POST",
        url,
        header: metadataOf(header),
        contextValues: contextValues ?? createContextValues(),
        message: input,
      },
      next: async (request) => {
        if (bound !== undefined) request.signal.addEventListener("abort", bound.release, { once: true });
        const metadata = Metadata.from(request.header);
        const opened = streamingCall(
          await openerOf(options, method, request.signal),
          { path: pathOf(method), kind: method.methodKind, metadata, timeoutMs: deadline.left() },
          request.message,
          (message: MessageShape<I>) => serialize(method, message),
          (bytes) => parse(method, bytes),
          request.signal,
          options.maxBufferedBytes,
          counts,
          (error) => {
            ended();
            STREAM_OVER.get(request.signal)?.(error);
          },
        );
        open++;
        leave = opened.leave;
        return {
          stream: true,
          service: method.parent,
          method,
          header: await opened.headers,
          trailer: opened.trailers,
          message: { [Symbol.asyncIterator]: () => opened.received },
        };
      },
    }).catch((error) => {
      bound?.release();
      throw error;
    });
    isAnswered = true;
    settle();
    return { ...response, message: leavable(response.message, () => leave()) };
  }

  return { unary, stream };
}

function pathOf(method: DescMethodUnary | DescMethodStreaming): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function currentCarrier(
  options: TransportOptions,
  signal: AbortSignal | undefined,
): Carrier | Promise<Carrier> {
  const carrier = options.carrier();
  return carrier instanceof Promise ? abortable(carrier, signal) : carrier;
}

interface RequestMetadata {
  readonly metadata: Metadata;
  /** Whether it is the same object for many calls. */
  readonly constant: boolean;
}

/** Milliseconds left are told to the server when the call really starts: interceptors and waits have used some. */
interface Deadline {
  readonly option: { timeoutMs?: number };
  left(): number | undefined;
}

/**
 * The longest timeout, in milliseconds: what a timer of JavaScript holds, in whole seconds. A longer one would fire
 * at once, here and on servers in JavaScript.
 */
const MAX_TIMEOUT_MS = 2_147_483_000;

const NO_DEADLINE: Deadline = { option: {}, left: () => undefined };

function deadlineOf(timeoutMs: number | undefined): Deadline {
  if (timeoutMs === undefined || timeoutMs <= 0 || timeoutMs === Infinity) return NO_DEADLINE;
  if (Number.isNaN(timeoutMs)) throw new ConnectError("timeoutMs is NaN, no number", Code.InvalidArgument);
  // No timer is as short: the call might be over before it fires. `deadline()` gives it for a time that has passed.
  if (timeoutMs < 1) throw new ConnectError("the operation timed out", Code.DeadlineExceeded);
  const bounded = Math.min(timeoutMs, MAX_TIMEOUT_MS);
  const end = performance.now() + bounded;
  return { option: { timeoutMs: bounded }, left: () => Math.max(1, end - performance.now()) };
}

/** What can end a call before the server does: the caller's signal, and the deadline. Undefined when nothing can. */
function boundOf(
  signal: AbortSignal | undefined,
  deadline: Deadline,
): { readonly signal: AbortSignal; stopTimer(): void; release(): void } | undefined {
  const { timeoutMs } = deadline.option;
  if (timeoutMs === undefined) {
    return signal === undefined ? undefined : { signal, stopTimer() {}, release() {} };
  }
  const linked = linkAbort(signal === undefined ? [] : [signal]);
  const timer = setTimeout(
    () => linked.abort(new ConnectError("the operation timed out", Code.DeadlineExceeded)),
    timeoutMs,
  );
  return {
    signal: linked.signal,
    stopTimer: () => clearTimeout(timer),
    release() {
      clearTimeout(timer);
      linked.release();
    },
  };
}

/** Adds the bearer token to request metadata; to metadata that comes again, once. */
class TokenAdder {
  #last: { readonly token: string; readonly from: Metadata; readonly to: Metadata } | undefined;

  add(token: string, metadata: Metadata, constant: boolean): Metadata {
    if (constant && this.#last?.token === token && this.#last.from === metadata) return this.#last.to;
    const to = new Metadata(metadata);
    // The token is the channel's business: metadata of a call never takes it away.
    to.set("authorization", `Bearer ${token}`);
    if (constant) this.#last = { token, from: metadata, to };
    return to;
  }
}

/** Whether a call goes without the channel's token: one that fetches a token (protocol §2.5). */
function isExempt(method: DescMethodUnary | DescMethodStreaming): boolean {
  return method.parent.typeName === "proto.rpc.v1.AuthService";
}

/** Runs a unary call with the channel's token, and once more with a new one if the server refuses that. */
async function authorized<T>(
  authorization: Authorization,
  signal: AbortSignal | undefined,
  open: (token: string | undefined) => Promise<T>,
): Promise<T> {
  const pending = authorization.token();
  const token = pending instanceof Promise ? await abortable(pending, signal) : pending;
  try {
    return await open(token);
  } catch (error) {
    const refused = error instanceof ConnectError && error.code === Code.Unauthenticated;
    if (token === undefined || !refused) throw error;
    const renewed = await abortable(authorization.renew(token), signal);
    if (renewed === undefined) throw error;
    return await open(renewed);
  }
}

/** What a stream is opened with: the carrier of the moment, and the channel's token. */
async function openerOf(
  options: TransportOptions,
  method: DescMethodStreaming,
  signal: AbortSignal,
): Promise<Opener> {
  const { authorization } = options;
  const exempt = authorization === undefined || isExempt(method);
  const pending = exempt ? undefined : authorization.token();
  const token = pending instanceof Promise ? await abortable(pending, signal) : pending;
  const carrier = await currentCarrier(options, signal);
  return exempt || token === undefined ? carrier : openerWithToken(carrier, authorization, token);
}

interface StreamingAnswer<O> {
  readonly headers: Promise<Metadata>;
  readonly received: ReceiveQueue<O>;
  readonly trailers: Metadata;
  /** Ends the call because its reader has left. */
  readonly leave: () => void;
}

function streamingCall<T, O>(
  opener: Opener,
  request: CallRequest,
  messages: AsyncIterable<T>,
  toBytes: (message: T) => Uint8Array,
  parseMessage: (bytes: Uint8Array) => O,
  signal: AbortSignal,
  maxBufferedBytes: number,
  counts: TrafficCounts,
  onEnd: (error: unknown) => void,
): StreamingAnswer<O> {
  const headers = Promise.withResolvers<Metadata>();
  headers.promise.catch(() => {}); // the reader may have left
  const trailers = new Metadata();
  let ended = false;
  let answered: Metadata | undefined;

  const received = new ReceiveQueue<O>(parseMessage, maxBufferedBytes, {
    ended(end) {
      for (const [name, values] of end.trailers.lists()) {
        for (const value of values) trailers.append(name, value);
      }
    },
    refused: abandon,
  });
  const call: Call = opener.open(request, {
    headers: (metadata) => {
      answered = metadata;
      headers.resolve(metadata);
    },
    message: (bytes) => {
      counts.received(bytes.length);
      received.push(bytes);
    },
    end: (end) => {
      finish(end.error);
      counts.ended(end.error);
      if (end.error !== undefined) addHeaders(end.error, answered);
      received.end(end);
      if (end.error === undefined) headers.resolve(new Metadata());
      else headers.reject(end.error);
    },
  });
  received.attach(call);
  counts.started++;

  function finish(error: unknown): void {
    ended = true;
    queueMicrotask(() => onEnd(error));
    signal.removeEventListener("abort", abort);
  }
  function abandon(reason: unknown): void {
    if (!ended) {
      finish(reason);
      counts.ended(reason);
      call.reset();
      headers.reject(reason);
    }
    received.fail(reason);
  }
  function abort(): void {
    abandon(signal.reason);
  }
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });

  void (async () => {
    try {
      const iterator = messages[Symbol.asyncIterator]();
      while (!ended) {
        const next = await iterator.next();
        if (ended) return;
        if (next.done === true) return call.halfClose();
        const bytes = toBytes(next.value);
        counts.sent(bytes.length);
        const room = call.send(bytes, false);
        if (room !== undefined) await room;
      }
    } catch (error) {
      // The server has ended the call: what was to be sent no longer counts, and what has come is the reader's.
      if (ended) return;
      abandon(
        error instanceof ConnectError
          ? error
          : new ConnectError(`cannot send: ${messageOf(error)}`, Code.Unknown, undefined, undefined, error),
      );
    }
  })();

  return {
    headers: headers.promise,
    received,
    trailers,
    leave: () => abandon(new ConnectError("the reader left the stream", Code.Canceled)),
  };
}

/** Adds what `runStreamingCall` leaves out: a reader that breaks out of its loop resets the call at once. */
function leavable<T>(messages: AsyncIterable<T>, leave: () => void): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator](): AsyncIterator<T> {
      const iterator = messages[Symbol.asyncIterator]();
      return {
        next: () => iterator.next(),
        return: async () => {
          leave();
          // One more read lets Connect stop its deadline timer.
          await iterator.next().catch(() => {});
          return { done: true, value: undefined };
        },
      };
    },
  };
}

function serialize<I extends DescMessage>(
  method: DescMethod & { readonly input: I },
  message: MessageShape<I>,
): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = messageToBytes(method, method.input, message);
  } catch (error) {
    throw new ConnectError(
      `cannot serialize ${method.input.typeName}: ${messageOf(error)}`,
      Code.Internal,
      undefined,
      undefined,
      error,
    );
  }
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new ConnectError(
      `a message of ${bytes.length} bytes is over the limit of ${MAX_MESSAGE_BYTES} bytes`,
      Code.ResourceExhausted,
    );
  }
  return bytes;
}

function parse<O extends DescMessage>(
  method: DescMethod & { readonly output: O },
  bytes: Uint8Array,
): MessageShape<O> {
  try {
    return messageFromBytes(method, method.output, bytes);
  } catch (error) {
    throw new ConnectError(
      `cannot parse the server's ${method.output.typeName}: ${messageOf(error)}`,
      Code.Internal,
      undefined,
      undefined,
      error,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
