import type { DescMethodStreaming } from "@bufbuild/protobuf";
import type { ViamChannel } from "../../channel/channel.ts";
import type { StreamKind } from "../../core/grpc/stream_kind.ts";
import { rawMethod } from "../../rpc/raw_method.ts";
import { RUNTIME } from "../../runtime/runtime.ts";
import { answerPreflight } from "../../server/http_answers.ts";
import { listenOnOnePort, type OnePort } from "../../server/one_port.ts";
import {
  grpcProtocol,
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  pathOf,
} from "../../server/wire.ts";
import { forwardCall, type ForwardedEnd } from "./forward.ts";
import { mayCall } from "./origins.ts";

/** Settings of a proxy. */
export interface ProxyOptions {
  readonly hostname: string;
  /** The port; 0 for any that is free. */
  readonly port: number;
  /** Origins of pages that may call, besides those of this computer; "*" for all. */
  readonly allowedOrigins: readonly string[];
  /** Called with every call when it is over. */
  readonly onCall?: (path: string, end: ForwardedEnd) => void;
}

/** Bytes that a caller may send ahead of the machine. With megabytes, Bun reads far more than that. */
const WINDOW_BYTES = 262_144;

/** Most methods that are cached. */
const MAX_METHODS = 1_000;

/** Serves a channel's machine on a port, as gRPC over cleartext HTTP/2 and as gRPC-Web. */
export async function startProxy(channel: ViamChannel, options: ProxyOptions): Promise<OnePort> {
  const methods = new Map<string, Promise<DescMethodStreaming>>();

  /** On a data channel all calls are alike; over HTTP the path of a call depends on its streams. */
  async function kindOf(path: string): Promise<StreamKind> {
    if (channel.kind === "webrtc") return "bidi_streaming";
    const reflection = await channel.reflect().catch(() => undefined);
    const kind = reflection?.getMethod(path)?.methodKind ?? "bidi_streaming";
    return kind === "unary" ? "server_streaming" : kind;
  }

  function methodOf(path: string): Promise<DescMethodStreaming> {
    let method = methods.get(path);
    if (method === undefined) {
      if (methods.size >= MAX_METHODS) methods.clear();
      method = kindOf(path).then((kind) => rawMethod(path, kind) as DescMethodStreaming);
      methods.set(path, method);
    }
    return method;
  }

  async function serve(request: HttpRequest, response: HttpResponse, path: string): Promise<void> {
    let gone = false;
    response.on("close", () => gone = true);
    const protocol = grpcProtocol(request.headers["content-type"]);
    if (protocol === undefined || request.method !== "POST") {
      response.writeHead(request.method === "GET" && path === "/" ? 200 : 415, {
        "content-type": "text/plain",
      });
      response.end("This is viam-dial's proxy: it speaks gRPC over cleartext HTTP/2, and gRPC-Web.\n");
      return;
    }
    // Without a valid name, the machine would receive another method than the caller requested.
    if (!/^\/[^/]+\/[^/]+$/.test(path)) {
      response.writeHead(404).end();
      return;
    }
    const method = await methodOf(path);
    // The rest of its request looks like a whole one.
    if (gone) return;
    const end = await forwardCall({ request, response, protocol, method }, channel);
    options.onCall?.(path, end);
  }

  const handler: HttpHandler = (request, response) => {
    request.on("error", () => {});
    response.on("error", () => {});
    const { origin } = request.headers;
    const path = pathOf(request);
    if (!mayCall(origin, options.allowedOrigins)) {
      request.resume();
      response.writeHead(403, { "content-type": "text/plain" });
      response.end(
        "Pages of this origin may not call this machine; viam-dial proxy --allow-origin lets them.\n",
      );
      return;
    }
    if (request.method === "OPTIONS") return answerPreflight(request, response);
    if (origin !== undefined) {
      response.setHeader("access-control-allow-origin", origin);
      response.setHeader("access-control-expose-headers", "*");
      response.setHeader("vary", "origin");
    }
    serve(request, response, path).catch(() => response.destroy());
  };

  return await listenOnOnePort({
    hostname: options.hostname,
    port: options.port,
    handler,
    runtime: RUNTIME,
    silent: () => false,
    windowBytes: WINDOW_BYTES,
  });
}
