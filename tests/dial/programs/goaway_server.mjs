/**
 * A server on Node itself that tells idle connections to go away, in every way there is. It answers calls of
 * ProbeService with empty messages, as native gRPC and as gRPC-Web. A call with metadata "x-refuse: 2" is refused
 * unread the first two times that it comes over HTTP/2; one with "x-refuse: 2 by GOAWAY" takes the connection with it.
 *
 * node goaway_server.mjs IDLE_MS [CERT KEY]
 *
 * Prints its port, then a line for each connection that it has sent away. Ends with its standard input.
 */
import { readFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import process from "node:process";

const [idleMs, cert, key] = process.argv.slice(2);
const MESSAGE = Buffer.from([0, 0, 0, 0, 0]);
const OK = "grpc-status: 0\r\n";
const WEB_TRAILERS = Buffer.concat([Buffer.from([0x80, 0, 0, 0, OK.length]), Buffer.from(OK)]);

/** Ways to send an idle connection away. */
const WAYS = [
  (session) => session.close(),
  (session) => {
    session.goaway(0);
    setTimeout(() => session.destroy(), 50);
  },
  // As grpc-go: first a warning, then the last stream.
  (session) => {
    session.goaway(0, 2 ** 31 - 1);
    setTimeout(() => session.close(), 50);
  },
  (session) => {
    session.goaway(11); // ENHANCE_YOUR_CALM
    setTimeout(() => session.destroy(), 50);
  },
  (session) => session.destroy(),
];
let sessions = 0;

/** Calls that have been refused, by their metadata "x-call". */
const refused = new Map();

function handle(request, response) {
  const id = request.headers["x-call"], times = refused.get(id) ?? 0;
  const [most, byGoaway] = request.headers["x-refuse"]?.split(" by ") ?? ["0"];
  if (times < Number(most) && request.stream !== undefined) {
    refused.set(id, times + 1);
    if (byGoaway !== undefined) return request.stream.session.goaway(0, request.stream.id - 2);
    return request.stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  }
  const web = request.headers["content-type"]?.startsWith("application/grpc-web");
  request.resume();
  request.on("end", () => {
    const known = request.url.startsWith("/viam_dial.probe.v1.ProbeService/");
    response.writeHead(200, {
      "content-type": web ? "application/grpc-web+proto" : "application/grpc+proto",
      ...(known ? {} : { "grpc-status": "12" }),
    });
    if (!known) return response.end();
    if (web) return response.end(Buffer.concat([MESSAGE, WEB_TRAILERS]));
    response.addTrailers({ "grpc-status": "0" });
    response.end(MESSAGE);
  });
}

/** Sends a session away once nothing has happened on it for a while. */
function watch(session) {
  const way = WAYS[sessions++ % WAYS.length];
  let open = 0, timer;
  session.on("stream", (stream) => {
    open++;
    clearTimeout(timer);
    stream.on("close", () => {
      open--;
      clearTimeout(timer);
      if (open === 0) {
        timer = setTimeout(() => {
          if (session.closed || session.destroyed) return;
          console.log("sent away");
          way(session);
        }, Number(idleMs));
      }
    });
  });
  session.on("close", () => clearTimeout(timer));
  session.on("error", () => {});
}

function serve(server) {
  server.on("session", watch);
  server.on("sessionError", () => {});
  return server;
}

let front;
if (cert === undefined) {
  // One port for both: the first bytes tell.
  const multiplexed = serve(http2.createServer(handle)), simple = http.createServer(handle);
  front = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("readable", () => {
      const first = socket.read();
      if (first === null) return socket.destroy();
      socket.unshift(first);
      (first.toString("latin1", 0, 3) === "PRI" ? multiplexed : simple).emit("connection", socket);
    });
  });
} else {
  front = serve(http2.createSecureServer({
    cert: readFileSync(cert),
    key: readFileSync(key),
    allowHTTP1: true,
  }, handle));
}
front.listen(0, "127.0.0.1", () => console.log(front.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
