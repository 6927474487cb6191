/** A gRPC-Web server that answers every call with an empty message, and closes its connection a second later. */

import { Buffer } from "node:buffer";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const IDLE_MS = 1_000;
const MESSAGE = [0, 0, 0, 0, 0];
const TRAILERS = Buffer.from("grpc-status:0\r\n");

const server = createServer((request, response) => {
  request.resume();
  request.on("end", () => {
    response.writeHead(200, { "content-type": "application/grpc-web+proto" });
    response.end(Buffer.from([...MESSAGE, 0x80, 0, 0, 0, TRAILERS.length, ...TRAILERS]));
    setTimeout(() => request.socket.end(), IDLE_MS);
  });
});
server.keepAliveTimeout = 60_000; // it does not say when it will close
server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${(server.address() as AddressInfo).port}`));
