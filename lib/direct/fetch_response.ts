import { readSingleAnswer } from "../core/grpc/envelope.ts";
import { isPlainOk, refuseResponse } from "../core/grpc/grpc_status.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import type { UnaryAnswer } from "../rpc/carrier.ts";
import { AnswerCollector } from "../rpc/unary_call.ts";
import { AnswerReader } from "./answer_reader.ts";
import { EndingListener } from "./call_ending.ts";
import type { MessageOptions } from "./compressor.ts";

/** Every runtime reads a body of so many bytes whole faster than chunk by chunk. */
const SHORT_BODY_BYTES = 65_536;

/** Holds the reading of a body. */
export class ReadingGate {
  #resumed: PromiseWithResolvers<void> | undefined;

  get wait(): Promise<void> | undefined {
    return this.#resumed?.promise;
  }
  pause(): void {
    this.#resumed ??= Promise.withResolvers<void>();
  }
  resume(): void {
    this.#resumed?.resolve();
    this.#resumed = undefined;
  }
}

/** Reads the answer to a unary call. Rejects with the `ConnectError` that ended it. */
export async function readUnaryResponse(response: Response, options: MessageOptions): Promise<UnaryAnswer> {
  const { status, headers } = response;
  let body: Uint8Array | undefined;
  // Nearly every answer: one message, and trailers that say OK and nothing else.
  const isPlain = headers.get("grpc-status") === null &&
    refuseResponse(status, headers, "grpc-web") === undefined;
  if (isPlain && isShort(headers)) {
    body = new Uint8Array(await response.arrayBuffer());
    const single = readSingleAnswer(body, options.maxMessageBytes);
    if (single !== undefined && isPlainOk(body, single.trailersAt)) {
      return { headers, message: single.message, trailers: new Metadata() };
    }
  }
  return await new Promise((resolve, reject) => {
    const listener = new EndingListener(new AnswerCollector(resolve, reject));
    readResponse(response, listener, new ReadingGate(), options, body)
      // The rest of a body would keep its connection from the next call.
      .then((whole) => whole ? undefined : response.body?.cancel())
      .catch(reject);
  });
}

/**
 * Reads a gRPC-Web answer, whatever is in it, and tells the listener how the call ends.
 *
 * @param body The whole body, where it is read already.
 * @returns Whether the body was read to its end.
 */
export async function readResponse(
  response: Response,
  listener: EndingListener,
  gate: ReadingGate,
  options: MessageOptions,
  body?: Uint8Array,
): Promise<boolean> {
  const answer = new AnswerReader(listener, { ...options, protocol: "grpc-web" });
  const metadata = new Metadata(response.headers);
  if (!answer.headers(response.status, { get: (name) => metadata.get(name), all: () => metadata })) {
    await response.body?.cancel();
    return false;
  }
  if (body !== undefined || isShort(response.headers)) {
    answer.body(body ?? new Uint8Array(await response.arrayBuffer()));
    answer.end(undefined);
    return true;
  }
  const reader = response.body?.getReader();
  for (;;) {
    if (gate.wait !== undefined) await gate.wait;
    const { over } = listener;
    const chunk = (await reader?.read())?.value;
    if (chunk === undefined) break;
    // After the trailers there is but the end of the body.
    if (over) return false;
    answer.body(chunk);
  }
  answer.end(undefined);
  return true;
}

function isShort(headers: Headers): boolean {
  return Number(headers.get("content-length") ?? Infinity) <= SHORT_BODY_BYTES;
}
