import { create, type DescMethodStreaming } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { type BytesValue, BytesValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { parseTimeout } from "@connectrpc/connect/protocol-grpc";
import { COMPRESSED, encodeEnvelope, EnvelopeReader } from "../../core/grpc/envelope.ts";
import { MAX_MESSAGE_BYTES } from "../../core/limits.ts";
import { type Compressor, isOverLimit, loadGzip } from "../../direct/compressor.ts";
import { abortable } from "../../runtime/abortable.ts";
import {
  answerHeaders,
  answerTrailers,
  Base64Reader,
  endAnswer,
  type GrpcProtocol,
  type HttpRequest,
  type HttpResponse,
  requestMetadata,
} from "../../server/wire.ts";

/** Accepted compressions of requests. Answers are not compressed, since the path from a proxy on loopback is short. */
const ACCEPTED_ENCODINGS = "identity,gzip";

/** A call to forward. */
export interface ForwardedCall {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly protocol: GrpcProtocol;
  /** A method made by `rawMethod`. */
  readonly method: DescMethodStreaming;
}

/** The result of a forwarded call. */
export interface ForwardedEnd {
  /** Undefined for OK. */
  readonly error: ConnectError | undefined;
  readonly sent: number;
  readonly received: number;
}

/**
 * Forwards a call as it arrives: messages unread, and metadata, trailers, status, deadline and cancellation in both
 * directions. It reads from either side only when the other has taken what was read.
 */
export async function forwardCall(
  { request, response, protocol, method }: ForwardedCall,
  transport: Transport,
): Promise<ForwardedEnd> {
  const counts = { sent: 0, received: 0 };
  const caller = new AbortController();
  let over = false;
  response.on("close", () => {
    if (!over) caller.abort(new ConnectError("the caller is gone", Code.Canceled));
  });
  let trailers: Headers | undefined;
  let error: ConnectError | undefined;
  let inputError: ConnectError | undefined;
  let compressor: Compressor | undefined;

  async function* messages(): AsyncGenerator<BytesValue> {
    try {
      for await (const value of readMessages(bodyOf(request, protocol), compressor)) {
        counts.sent++;
        yield create(BytesValueSchema, { value });
      }
    } catch (reason) {
      inputError = ConnectError.from(reason);
      throw inputError;
    }
  }

  const open = (headers: Headers) => {
    response.writeHead(200, {
      ...answerHeaders(headers),
      "content-type": `application/${protocol}+proto`,
      "grpc-accept-encoding": ACCEPTED_ENCODINGS,
    });
    response.flushHeaders();
  };
  const input = messages();
  try {
    compressor = await compressorOf(request);
    const metadata = requestMetadata(request.rawHeaders);
    const answer = await transport.stream(method, caller.signal, timeoutOf(request), metadata, input);
    // Filled when the call ends, in any way.
    trailers = answer.trailer;
    open(answer.header);
    for await (const message of answer.message) {
      counts.received++;
      await writeMessage(response, protocol, (message as BytesValue).value, caller.signal);
    }
  } catch (reason) {
    error = inputError ?? ConnectError.from(reason);
    trailers ??= error.metadata;
  }
  over = true;
  if (caller.signal.aborted) {
    response.destroy();
    return { error, ...counts };
  }
  if (!response.headersSent) open(new Headers());
  endAnswer(response, protocol, answerTrailers(error, trailers ?? new Headers()));
  // Unread data of the caller would block the connection.
  // The reader of the body must be released first: otherwise nothing flows.
  void input.return(undefined).catch(() => {}).then(() => request.resume());
  return { error, ...counts };
}

/** Returns the timeout of the caller. It is never 0, which a transport takes as no deadline. */
function timeoutOf(request: HttpRequest): number | undefined {
  const { timeoutMs, error } = parseTimeout(headerOf(request, "grpc-timeout") ?? null, Infinity);
  if (error !== undefined) throw error;
  return timeoutMs === undefined ? undefined : Math.max(1, timeoutMs);
}

/** Returns the decompression of a request. The other end need not know of it: a data channel has no compression. */
async function compressorOf(request: HttpRequest): Promise<Compressor | undefined> {
  const encoding = headerOf(request, "grpc-encoding");
  if (encoding === undefined || encoding === "identity") return undefined;
  if (encoding === "gzip") return await loadGzip();
  throw new ConnectError(
    `compression with ${JSON.stringify(encoding)} is not supported`,
    Code.Unimplemented,
    { "grpc-accept-encoding": ACCEPTED_ENCODINGS },
  );
}

/** Reads the body of a request as bytes. */
async function* bodyOf(request: HttpRequest, protocol: GrpcProtocol): AsyncGenerator<Uint8Array> {
  // Stopping to read must not destroy the request, because the rest must be discarded.
  const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  if (protocol !== "grpc-web-text") return yield* chunks;
  const base64 = new Base64Reader();
  for await (const chunk of chunks) yield base64.push(chunk);
  if (!base64.atBoundary) {
    throw new ConnectError("the request ends in the middle of its base64", Code.InvalidArgument);
  }
}

async function* readMessages(
  body: AsyncIterable<Uint8Array>,
  compressor: Compressor | undefined,
): AsyncGenerator<Uint8Array> {
  const reader = new EnvelopeReader(MAX_MESSAGE_BYTES);
  for await (const chunk of body) {
    const whole: { readonly flags: number; readonly data: Uint8Array }[] = [];
    const problem = reader.push(chunk, (flags, data) => {
      whole.push({ flags, data });
      return true;
    });
    for (const { flags, data } of whole) {
      yield (flags & COMPRESSED) === 0 ? data : decompressed(data, compressor);
    }
    if (problem !== undefined) {
      throw new ConnectError(
        `a message of ${problem.oversized} bytes is over the limit of ${MAX_MESSAGE_BYTES} bytes`,
        Code.ResourceExhausted,
      );
    }
  }
  if (!reader.atBoundary) {
    throw new ConnectError("the request ends in the middle of a message", Code.InvalidArgument);
  }
}

function decompressed(data: Uint8Array, compressor: Compressor | undefined): Uint8Array {
  if (compressor === undefined) {
    throw new ConnectError("a compressed message without grpc-encoding", Code.Internal);
  }
  try {
    return compressor.decompress(data, MAX_MESSAGE_BYTES);
  } catch (error) {
    const [text, code] = isOverLimit(error)
      ? [`a message is over the limit of ${MAX_MESSAGE_BYTES} bytes`, Code.ResourceExhausted]
      : [`a message is not valid ${compressor.name}`, Code.InvalidArgument];
    throw new ConnectError(text, code, undefined, undefined, error);
  }
}

/** Messages up to this size, in bytes, are copied, which costs less than a separate write. */
const COPIED_BYTES = 16_384;

/** Writes a message, and waits until there is room for more. */
function writeMessage(
  response: HttpResponse,
  protocol: GrpcProtocol,
  message: Uint8Array,
  signal: AbortSignal,
): Promise<void> | undefined {
  if (protocol === "grpc-web-text") return write(response, base64Encode(encodeEnvelope(message)), signal);
  if (message.length <= COPIED_BYTES) return write(response, encodeEnvelope(message), signal);
  const head = new Uint8Array(5);
  new DataView(head.buffer).setUint32(1, message.length);
  response.write(head);
  return write(response, message, signal);
}

/** Writes, and waits until there is room for more. */
function write(
  response: HttpResponse,
  bytes: Uint8Array | string,
  signal: AbortSignal,
): Promise<void> | undefined {
  signal.throwIfAborted();
  if (response.write(bytes)) return undefined;
  return abortable(new Promise((resolve) => response.once("drain", resolve)), signal);
}

function headerOf(request: HttpRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
