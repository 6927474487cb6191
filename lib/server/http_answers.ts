import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Code, type ConnectError } from "@connectrpc/connect";

/** What the request objects of `node:http` and `node:http2` have in common. */
export type HttpRequest = IncomingMessage;

/** What their response objects have in common. */
export type HttpResponse = ServerResponse;

/** How long a browser may remember that it may call, in seconds. */
const PREFLIGHT_MAX_AGE_S = 7_200;

/** Which protocol a request speaks: "grpc", "grpc-web" or "connect". */
export function protocolOf(request: HttpRequest): string {
  const type = request.headers["content-type"] ?? "";
  if (type.startsWith("application/grpc-web")) return "grpc-web";
  return type.startsWith("application/grpc") ? "grpc" : "connect";
}

/** Lets browsers call from any origin, as a machine does (protocol §5.5). */
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

/** Ends a call to a method that there is not, in the caller's own protocol. */
export function answerUnknown(request: HttpRequest, response: HttpResponse, error: ConnectError): void {
  const type = request.headers["content-type"] ?? "";
  const status: Record<string, string> = {
    "grpc-status": String(error.code),
    "grpc-message": encodeURIComponent(error.rawMessage),
  };
  switch (protocolOf(request)) {
    case "grpc":
      // As trailers, which every client reads: node's server never ends a call with its headers, and grpc-go takes
      // a status among headers that do not end the call for an application's.
      response.writeHead(200, { "content-type": type });
      response.addTrailers(status);
      response.end();
      break;
    case "grpc-web": {
      const lines = Object.entries(status).map(([name, value]) => `${name}: ${value}\r\n`).join("");
      const frame = Buffer.alloc(5 + lines.length);
      frame[0] = 0x80;
      frame.writeUInt32BE(lines.length, 1);
      frame.write(lines, 5, "latin1");
      response.writeHead(200, { "content-type": type });
      response.end(type.startsWith("application/grpc-web-text") ? frame.toString("base64") : frame);
      break;
    }
    default:
      response.writeHead(404, { "content-type": "application/json" });
      response.end(JSON.stringify({ code: connectCode(error.code), message: error.rawMessage }));
  }
}

/** The name of a code in the Connect protocol. */
function connectCode(code: Code): string {
  return (Code[code] ?? "unknown").replace(/(?!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}
