/** Calls framed by hand: what a machine puts on the wire is seen without a client of ours in between. */

import http2 from "node:http2";
import net from "node:net";
import type { DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { runtime } from "../harness.ts";

/** The answer to one call. */
export interface WireAnswer<O> {
  /** HTTP status. */
  readonly httpStatus: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly messages: readonly O[];
  readonly trailers: ReadonlyMap<string, string>;
  /** `grpc-status`, wherever it stood. */
  readonly status: number | undefined;
  /** `grpc-message`, decoded. */
  readonly message: string;
}

type Headers = Readonly<Record<string, string>>;

/** The path of a method. */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Calls a method by `fetch` as gRPC-Web, with one message. */
export async function callGrpcWeb<M extends DescMethod>(
  url: string,
  method: M,
  message: MessageInitShape<M["input"]>,
  headers: Headers = {},
): Promise<WireAnswer<MessageShape<M["output"]>>> {
  const response = await fetch(url + pathOf(method), {
    method: "POST",
    headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1", ...headers },
    body: frame(method, message),
  });
  const body = new Uint8Array(await response.arrayBuffer());
  const { messages, trailers } = unframe(method, body);
  return answerOf(response.status, new Map(response.headers), messages, trailers);
}

/** Calls a method over an HTTP/2 session as native gRPC, with one message. */
export function callGrpc<M extends DescMethod>(
  session: http2.ClientHttp2Session,
  method: M,
  message: MessageInitShape<M["input"]>,
  headers: Headers = {},
): Promise<WireAnswer<MessageShape<M["output"]>>> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": pathOf(method),
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    const chunks: Uint8Array[] = [];
    let head = new Map<string, string>(), tail = new Map<string, string>();
    stream.on("response", (fields) => head = toMap(fields));
    stream.on("trailers", (fields) => tail = toMap(fields));
    stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => {
      const { messages } = unframe(method, concat(chunks));
      resolve(answerOf(Number(head.get(":status")), head, messages, tail));
    });
    stream.end(frame(method, message));
  });
}

/** Opens an HTTP/2 session, gives it to `use`, and closes it. */
export async function withSession<T>(
  url: string,
  use: (session: http2.ClientHttp2Session) => Promise<T>,
  options: http2.SecureClientSessionOptions = {},
): Promise<T> {
  // On Node a session that holds more than 10 MB, by default, ends the call that is to send more.
  const session = http2.connect(url, { maxSessionMemory: 64, ...options });
  const failed = new Promise<never>((_, reject) => session.on("error", reject));
  failed.catch(() => {});
  const closed = new Promise<void>((resolve) => session.on("close", () => resolve()));
  try {
    return await Promise.race([use(session), failed]);
  } finally {
    // On Node a session whose socket has failed is destroyed, and reports no end.
    const gone = runtime === "node" && session.destroyed;
    session.destroy();
    if (!gone) await closed;
  }
}

/** Sends bytes over TCP, and returns all that comes back until the other side hangs up. */
export function exchangeBytes(port: number, bytes: Uint8Array | string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: "127.0.0.1", port }, () => socket.write(bytes));
    let answer = "";
    socket.on("data", (chunk) => answer += chunk.toString("latin1"));
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}

/** One message with its five bytes in front. */
export function frame<M extends DescMethod>(
  method: M,
  message: MessageInitShape<M["input"]>,
): Uint8Array<ArrayBuffer> {
  const bytes = toBinary(method.input, create(method.input, message));
  const framed = new Uint8Array(5 + bytes.length);
  new DataView(framed.buffer).setUint32(1, bytes.length);
  framed.set(bytes, 5);
  return framed;
}

function unframe<M extends DescMethod>(method: M, body: Uint8Array): {
  messages: MessageShape<M["output"]>[];
  trailers: Map<string, string>;
} {
  const messages: MessageShape<M["output"]>[] = [];
  const trailers = new Map<string, string>();
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  for (let offset = 0; offset + 5 <= body.length;) {
    const length = view.getUint32(offset + 1);
    const bytes = body.subarray(offset + 5, offset + 5 + length);
    if ((body[offset]! & 0x80) === 0) {
      messages.push(fromBinary(method.output, bytes) as MessageShape<M["output"]>);
    } else {
      for (const line of new TextDecoder().decode(bytes).split("\r\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) trailers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
      }
    }
    offset += 5 + length;
  }
  return { messages, trailers };
}

function answerOf<O>(
  httpStatus: number,
  headers: ReadonlyMap<string, string>,
  messages: readonly O[],
  trailers: ReadonlyMap<string, string>,
): WireAnswer<O> {
  const status = trailers.get("grpc-status") ?? headers.get("grpc-status");
  return {
    httpStatus,
    headers,
    messages,
    trailers,
    status: status === undefined ? undefined : Number(status),
    message: decodeURIComponent(trailers.get("grpc-message") ?? headers.get("grpc-message") ?? ""),
  };
}

function toMap(fields: Readonly<Record<string, unknown>>): Map<string, string> {
  return new Map(Object.entries(fields).map(([name, value]) => [name, String(value)]));
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}
