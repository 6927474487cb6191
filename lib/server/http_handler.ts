import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Stream } from "node:http2";
import { Code, ConnectError, createConnectRouter, type HandlerContext } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  answerPreflight,
  answerUnknown,
  type HttpRequest,
  type HttpResponse,
  protocolOf,
} from "./http_answers.ts";
import type { Methods } from "./routes.ts";

/** Handles the requests of `node:http` and `node:http2` servers. */
export type HttpHandler = (
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
) => void;

/** Settings of a handler. */
export interface HttpHandlerOptions {
  readonly methods: Methods;
  /** Largest request message, in bytes. */
  readonly maxMessageBytes: number;
  /** Called first for every call, with the protocol and `/package.Service/Method`. */
  readonly onCall: (protocol: string, path: string) => void;
  /** Refuses calls of existing methods by throwing. */
  readonly authenticate: (context: HandlerContext) => Promise<void>;
  /** Delays any call, or refuses it by throwing. */
  readonly admit: (path: string, signal: AbortSignal) => Promise<void> | undefined;
  /** The text at `/`. */
  readonly greeting: string;
}

/** Makes a handler that serves methods as gRPC, gRPC-Web and Connect. */
export async function createHttpHandler(options: HttpHandlerOptions): Promise<HttpHandler> {
  // Imported here, so that a program that never starts a machine never loads it.
  const { compressionGzip, universalRequestFromNodeRequest, universalResponseToNodeResponse } = await import(
    "@connectrpc/connect-node"
  );
  const router = createConnectRouter({
    readMaxBytes: options.maxMessageBytes,
    acceptCompression: [compressionGzip],
    // Compressed requests are accepted; responses are never compressed, as on a real machine.
    compressMinBytes: 0xffffffff,
    requestGate: async (context) => {
      const path = `/${context.service.typeName}/${context.method.name}`;
      options.onCall(context.protocolName, path);
      await options.admit(path, context.signal);
      await options.authenticate(context);
    },
  });
  for (const { method, impl } of options.methods.values()) router.rpc(method, impl);
  const handlers = new Map<string, UniversalHandler>(
    router.handlers.map((handler) => [handler.requestPath, handler]),
  );

  return (request, response) => {
    // The two servers' types differ in overloads that do not matter here.
    const asked = request as HttpRequest;
    const answer = response as HttpResponse;
    answer.on("error", () => {});
    asked.on("error", () => {});
    discardUnread(request, response);
    if (asked.headers.origin !== undefined) allowOrigin(answer);
    const path = asked.url?.split("?", 1)[0] ?? "";
    const handler = handlers.get(path);
    if (handler !== undefined && asked.method !== "OPTIONS") {
      // A handler that stops reading must not destroy the request, because the rest must be discarded.
      const body = asked.iterator({ destroyOnReturn: false });
      handler({ ...universalRequestFromNodeRequest(asked, answer, undefined, undefined), body })
        .then((result) => universalResponseToNodeResponse(endedWith(response, result), answer))
        // The client is gone; its signal has told the handler.
        .catch(() => answer.destroy());
    } else if (asked.method === "OPTIONS") {
      answerPreflight(asked, answer);
    } else if (asked.method === "GET" && path === "/") {
      answer.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
      answer.end(`${options.greeting}\n`);
    } else {
      void refuseUnknown(path, asked, answer);
    }
  };

  async function refuseUnknown(path: string, request: HttpRequest, response: HttpResponse): Promise<void> {
    options.onCall(protocolOf(request), path);
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    try {
      await options.admit(path, gone.signal);
      answerUnknown(request, response, new ConnectError("Unimplemented", Code.Unimplemented));
    } catch (error) {
      if (!gone.signal.aborted) answerUnknown(request, response, ConnectError.from(error));
    }
  }
}

/**
 * Ends a handler when its response is closed before it is written. Otherwise the code that writes the response may
 * never notice, and the timer of the call's deadline would run on.
 */
function endedWith(
  answer: ServerResponse | Http2ServerResponse,
  result: UniversalServerResponse,
): UniversalServerResponse {
  const messages = result.body?.[Symbol.asyncIterator]();
  if (messages === undefined) return result;
  const end = () => void messages.return?.().catch(() => {});
  const written = streamOf(answer);
  if (written.destroyed) end();
  else written.once("close", end);
  return { ...result, body: { [Symbol.asyncIterator]: () => messages } };
}

/**
 * Reads what a handler has left unread. Unread data would block the sender: for ever on HTTP/2, whose window it fills,
 * and until the next request on HTTP/1.1. Resetting the HTTP/2 stream instead, as grpc-go does, loses the trailers on
 * Deno.
 */
function discardUnread(
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
): void {
  streamOf(response).once("finish", () => request.resume());
}

/** The object that reports the end of a response; for HTTP/2 this is its stream. */
function streamOf(response: ServerResponse | Http2ServerResponse): ServerResponse | ServerHttp2Stream {
  return "stream" in response ? response.stream : response;
}

function allowOrigin(response: HttpResponse): void {
  response.setHeader("access-control-allow-origin", "*");
  response.setHeader("access-control-expose-headers", "*");
}
