import type { Http2ServerResponse, ServerHttp2Stream } from "node:http2";
import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { answerError, answerPreflight } from "./http_answers.ts";
import type { Methods } from "./routes.ts";
import {
  grpcProtocol,
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  pathOf,
  requestMetadata,
} from "./wire.ts";

/** The part of a call that decides whether it may be made. */
export interface AuthenticatedCall extends Pick<HandlerContext, "requestHeader" | "values"> {
  readonly service: { readonly typeName: string };
}

/** Options of a handler. */
export interface HttpHandlerOptions {
  readonly methods: Methods;
  /** The largest request message that is accepted. */
  readonly maxMessageBytes: number;
  /** Called first for every call, with "grpc", "grpc-web" or "connect" and `/package.Service/Method`. */
  readonly onCall: (protocol: string, path: string) => void;
  /** Refuses any call by throwing, also those to nonexistent methods, as a machine does. */
  readonly authenticate: (call: AuthenticatedCall) => void;
  /** Delays any call, or refuses it by throwing. */
  readonly admit: (path: string, signal: AbortSignal) => Promise<void> | undefined;
  /** The text at `/`. */
  readonly greeting: string;
}

/** Makes a handler that serves implementations as gRPC, gRPC-Web and Connect. */
export async function createHttpHandler(options: HttpHandlerOptions): Promise<HttpHandler> {
  // Loaded here: a program that starts no server never needs it.
  const { compressionGzip, universalRequestFromNodeRequest, universalResponseToNodeResponse } = await import(
    "@connectrpc/connect-node"
  );
  const router = createConnectRouter({
    readMaxBytes: options.maxMessageBytes,
    acceptCompression: [compressionGzip],
    // As on a real machine, requests may be compressed and responses never are.
    compressMinBytes: 0xffffffff,
    requestGate: async (context) => {
      const path = `/${context.service.typeName}/${context.method.name}`;
      options.onCall(context.protocolName, path);
      await options.admit(path, context.signal);
      options.authenticate(context);
    },
  });
  for (const { method, impl } of options.methods.values()) router.rpc(method, impl);
  const handlers = new Map<string, UniversalHandler>(
    router.handlers.map((handler) => [handler.requestPath, handler]),
  );

  return (request, response) => {
    request.on("error", () => {});
    response.on("error", () => {});
    // Unread, the rest of a request would hold up its sender: forever on HTTP/2, whose window it fills, and before the
    // next request on HTTP/1.1. (Resetting an HTTP/2 stream instead, as grpc-go does, loses the trailers on Deno.)
    streamOf(response).once("finish", () => request.resume());
    if (request.headers.origin !== undefined) {
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("access-control-expose-headers", "*");
    }
    const path = pathOf(request);
    const handler = handlers.get(path);
    if (request.method === "OPTIONS") {
      answerPreflight(request, response);
    } else if (handler !== undefined) {
      // A handler that stops reading must not destroy the request, whose rest is discarded.
      const body = request.iterator({ destroyOnReturn: false });
      let universal;
      try {
        universal = universalRequestFromNodeRequest(request, response, undefined, undefined);
      } catch {
        // The client has named a host that no URL can have.
        request.resume();
        response.writeHead(400);
        response.end();
        return;
      }
      handler({ ...universal, body })
        .then((result) => universalResponseToNodeResponse(endedWith(response, result), response))
        // The caller is gone; the handler's signal told it so.
        .catch(() => response.destroy());
    } else if (request.method === "GET" && path === "/") {
      response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
      response.end(`${options.greeting}\n`);
    } else {
      void refuseUnknown(path, request, response);
    }
  };

  async function refuseUnknown(path: string, request: HttpRequest, response: HttpResponse): Promise<void> {
    const protocol = grpcProtocol(request.headers["content-type"]) ?? "connect";
    options.onCall(protocol === "grpc-web-text" ? "grpc-web" : protocol, path);
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    try {
      await options.admit(path, gone.signal);
      options.authenticate({
        service: { typeName: path.split("/")[1] ?? "" },
        requestHeader: requestMetadata(request.rawHeaders),
        values: createContextValues(),
      });
      answerError(request, response, new ConnectError("Unimplemented", Code.Unimplemented));
    } catch (error) {
      if (!gone.signal.aborted) answerError(request, response, ConnectError.from(error));
    }
  }
}

/**
 * Ends a handler whose response is closed before it is written: otherwise it might never know, and the timer of the
 * call's deadline would keep running.
 */
function endedWith(response: HttpResponse, result: UniversalServerResponse): UniversalServerResponse {
  const messages = result.body?.[Symbol.asyncIterator]();
  if (messages === undefined) return result;
  const end = () => void messages.return?.().catch(() => {});
  const written = streamOf(response);
  if (written.destroyed) end();
  else written.once("close", end);
  return { ...result, body: { [Symbol.asyncIterator]: () => messages } };
}

/** The emitter of a response's end: for HTTP/2 its stream. */
function streamOf(response: HttpResponse): HttpResponse | ServerHttp2Stream {
  return "stream" in response ? (response as unknown as Http2ServerResponse).stream : response;
}
