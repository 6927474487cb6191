import type { ConnectError } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { answerTrailers, endAnswer, grpcProtocol, type HttpRequest, type HttpResponse } from "./wire.ts";

/** Time for which a browser may cache the permission to call, in seconds. */
const PREFLIGHT_MAX_AGE_S = 7_200;

/** Allows browsers to call from any origin, as a machine does (protocol §5.5). */
export function answerPreflight(request: HttpRequest, response: HttpResponse): void {
  const wanted = request.headers["access-control-request-headers"];
  response.writeHead(204, {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, PUT, OPTIONS",
    "access-control-allow-headers": wanted === undefined ? "*" : wanted,
    "access-control-max-age": String(PREFLIGHT_MAX_AGE_S),
  });
  response.end();
}

/**
 * Ends a call with an error, in the caller's own protocol. Native gRPC's is among the trailers, since node's server
 * never ends a call with its headers, and grpc-go takes a status among headers for an application's.
 */
export function answerError(request: HttpRequest, response: HttpResponse, error: ConnectError): void {
  const type = request.headers["content-type"];
  const protocol = grpcProtocol(type);
  if (protocol !== undefined) {
    response.writeHead(200, { "content-type": type });
    endAnswer(response, protocol, answerTrailers(error, error.metadata));
    return;
  }
  response.writeHead(404, { "content-type": "application/json" });
  response.end(JSON.stringify(errorToJson(error, undefined)));
}
