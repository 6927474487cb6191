/** Makes the call that a request of the runner describes, and reports the result. */

import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyUnpack } from "@bufbuild/protobuf/wkt";
import { type CallOptions, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { toHeaders, toPairs, toWireError } from "./convert.ts";
import {
  BidiStreamRequestSchema,
  type ClientCompatRequest,
  type ClientResponseResult,
  ClientResponseResultSchema,
  ClientStreamRequestSchema,
  type ConformancePayload,
  ConformancePayloadSchema,
  ConformanceService,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  StreamType,
  UnaryRequestSchema,
  UnimplementedRequestSchema,
} from "./protocol.ts";

interface Answer {
  readonly payload?: ConformancePayload | undefined;
}

/** One call under way. */
class Observed {
  readonly result: ClientResponseResult = create(ClientResponseResultSchema);
  readonly cancel = new AbortController();
  readonly options: CallOptions;
  readonly request: ClientCompatRequest;
  #headers = false;
  #trailers = false;

  constructor(request: ClientCompatRequest) {
    this.request = request;
    this.options = {
      signal: this.cancel.signal,
      headers: toPairs(request.requestHeaders),
      ...(request.timeoutMs === undefined ? {} : { timeoutMs: request.timeoutMs }),
      onHeader: (headers) => {
        this.#headers = true;
        this.result.responseHeaders = toHeaders(headers);
      },
      onTrailer: (trailers) => {
        this.#trailers = true;
        this.result.responseTrailers = toHeaders(trailers);
      },
    };
  }

  /** Takes an answer, and cancels the call if it was the last to wait for. */
  take(answer: Answer): void {
    const { payloads } = this.result;
    payloads.push(answer.payload ?? create(ConformancePayloadSchema));
    const timing = this.request.cancel?.cancelTiming;
    if (timing?.case === "afterNumResponses" && payloads.length === timing.value) this.cancel.abort();
  }

  fail(reason: unknown): void {
    const error = ConnectError.from(reason);
    this.result.error = toWireError(error);
    // Without `onHeader` and `onTrailer` there is only the error's metadata, which combines both.
    if (!this.#headers) this.result.responseHeaders = toHeaders(error.metadata);
    if (!this.#trailers) this.result.responseTrailers = toHeaders(error.metadata);
  }

  /** Before the half-close: cancels now, or some time after it. */
  beforeHalfClose(): void {
    const { cancel } = this.request;
    if (cancel === undefined) return;
    const { cancelTiming: timing } = cancel;
    if (timing.case === "beforeCloseSend") this.cancel.abort();
    else if (timing.case === "afterCloseSendMs") setTimeout(() => this.cancel.abort(), timing.value);
    else if (timing.case === undefined) queueMicrotask(() => this.cancel.abort());
  }
}

/** Makes the call. Rejects only if the request is invalid. */
export async function makeCall(
  request: ClientCompatRequest,
  transport: Transport,
): Promise<ClientResponseResult> {
  if (request.service !== undefined && request.service !== ConformanceService.typeName) {
    throw new Error(`no service ${request.service}`);
  }
  const client = createClient(ConformanceService, transport);
  const call = new Observed(request);
  switch (request.method) {
    case "Unary":
      await once(call, (options) => client.unary(single(UnaryRequestSchema, request), options));
      break;
    case "IdempotentUnary":
      await once(
        call,
        (options) => client.idempotentUnary(single(IdempotentUnaryRequestSchema, request), options),
      );
      break;
    case "Unimplemented":
      await once(call, async (options) => {
        await client.unimplemented(single(UnimplementedRequestSchema, request), options);
        return {};
      });
      break;
    case "ClientStream":
      await upload(
        call,
        (options) => client.clientStream(outgoing(ClientStreamRequestSchema, call), options),
      );
      break;
    case "ServerStream":
      call.beforeHalfClose();
      await read(call, client.serverStream(single(ServerStreamRequestSchema, request), call.options));
      break;
    case "BidiStream":
      if (request.streamType === StreamType.FULL_DUPLEX_BIDI_STREAM) {
        await converse(call, (input) => client.bidiStream(input, call.options));
      } else {
        await read(call, client.bidiStream(outgoing(BidiStreamRequestSchema, call), call.options));
      }
      break;
    default:
      throw new Error(`no method ${request.method}`);
  }
  return call.result;
}

async function once(call: Observed, run: (options: CallOptions) => Promise<Answer>): Promise<void> {
  call.beforeHalfClose();
  await upload(call, run);
}

async function upload(call: Observed, run: (options: CallOptions) => Promise<Answer>): Promise<void> {
  try {
    call.take(await run(call.options));
  } catch (error) {
    call.fail(error);
  }
}

async function read(call: Observed, answers: AsyncIterable<Answer>): Promise<void> {
  try {
    for await (const answer of answers) call.take(answer);
  } catch (error) {
    call.fail(error);
  }
}

/** Sends one message, receives one, and so on; then receives the rest. */
async function converse(
  call: Observed,
  open: (input: AsyncIterable<MessageShape<typeof BidiStreamRequestSchema>>) => AsyncIterable<Answer>,
): Promise<void> {
  const { request, result } = call;
  const messages = request.requestMessages.map((message) => unpack(BidiStreamRequestSchema, message));
  /** Wakes the sender: one more message may go, or none will. */
  let turn = Promise.withResolvers<boolean>();
  async function* input() {
    for (const message of messages) {
      if (!await turn.promise) return;
      turn = Promise.withResolvers();
      yield message;
    }
    await turn.promise;
  }
  const answers = open(input())[Symbol.asyncIterator]();
  let sent = 0;
  try {
    for (; sent < messages.length; sent++) {
      await pause(request.requestDelayMs);
      turn.resolve(true);
      const next = await answers.next();
      if (next.done === true) {
        sent++;
        break;
      }
      call.take(next.value);
    }
    call.beforeHalfClose();
    turn.resolve(false);
    for (;;) {
      const next = await answers.next();
      if (next.done === true) break;
      call.take(next.value);
    }
  } catch (error) {
    turn.resolve(false);
    call.fail(error);
    result.numUnsentRequests = Math.max(0, messages.length - sent - 1);
  }
}

/** Every message of the request, each after its delay. */
async function* outgoing<D extends DescMessage>(schema: D, call: Observed): AsyncGenerator<MessageShape<D>> {
  for (const message of call.request.requestMessages) {
    await pause(call.request.requestDelayMs);
    yield unpack(schema, message);
  }
  call.beforeHalfClose();
}

function single<D extends DescMessage>(schema: D, request: ClientCompatRequest): MessageShape<D> {
  const [message, ...others] = request.requestMessages;
  if (message === undefined || others.length > 0) throw new Error("the method takes exactly one message");
  return unpack(schema, message);
}

function unpack<D extends DescMessage>(schema: D, message: Any): MessageShape<D> {
  const unpacked = anyUnpack(message, schema);
  if (unpacked === undefined) throw new Error(`${message.typeUrl} is no ${schema.typeName}`);
  return unpacked;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
