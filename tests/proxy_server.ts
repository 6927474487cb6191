/** A small proxy with real sockets, for tests: HTTP CONNECT and SOCKS5, and what goes wrong with proxies. */

import { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";

/** The behaviour of a proxy. */
export interface ProxyServerOptions {
  readonly kind: "http" | "https" | "socks5";
  /** Wants these credentials. */
  readonly credentials?: { readonly username: string; readonly password: string };
  /** The port of 127.0.0.1 that each `host:port` leads to. Others are not reached. */
  readonly routes: Readonly<Record<string, number>>;
  /** Takes the client's first bytes, and answers in its own way; with false it leaves that to the proxy. */
  readonly answer?: (socket: Socket, first: Buffer) => void | false;
  /** For "https". */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A running proxy. */
export interface ProxyServer extends AsyncDisposable {
  readonly port: number;
  /** The places that it was asked for, `host:port` each. */
  readonly asked: string[];
  /** Tunnels that are open. */
  readonly open: () => number;
  /** Ends every tunnel. */
  cut(): void;
}

/** Starts a proxy on 127.0.0.1. */
export async function startProxy(options: ProxyServerOptions, port = 0): Promise<ProxyServer> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const serve = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    const reader = readerOf(socket);
    const talk = options.kind === "socks5" ? talkSocks : talkHttp;
    void talk(socket, reader, options, asked).catch(() => socket.destroy());
  };
  const server: Server = options.kind === "https"
    ? createTlsServer(options.tls!, serve)
    : createServer(serve);
  server.on("tlsClientError", () => {});
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    open: () => sockets.size,
    cut,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      cut();
      await closed;
    },
  };
}

interface Reader {
  /** Reads until there are so many bytes, or a text. */
  until(end: number | string): Promise<Buffer>;
}

function readerOf(socket: Socket): Reader {
  let bytes = Buffer.alloc(0);
  let wake = () => {};
  socket.on("data", function collect(chunk: Buffer) {
    bytes = Buffer.concat([bytes, chunk]);
    wake();
  });
  socket.on("close", () => wake());
  return {
    async until(end) {
      for (;;) {
        const at = typeof end === "number" ? (bytes.length >= end ? end : -1) : bytes.indexOf(end);
        const length = typeof end === "number" ? at : at < 0 ? -1 : at + end.length;
        if (length >= 0) {
          const found = bytes.subarray(0, length);
          bytes = bytes.subarray(length);
          return found;
        }
        if (socket.destroyed) throw new Error("closed");
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
  };
}

async function talkHttp(socket: Socket, reader: Reader, options: ProxyServerOptions, asked: string[]) {
  const request = await reader.until("\r\n\r\n");
  if (options.answer !== undefined && options.answer(socket, request) !== false) return undefined;
  const [line, ...headers] = request.toString("latin1").split("\r\n");
  const [method, place] = line!.split(" ");
  asked.push(method === "CONNECT" ? place! : line!);
  const { credentials } = options;
  if (credentials !== undefined) {
    const wanted = Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64");
    if (!headers.includes(`Proxy-Authorization: Basic ${wanted}`)) {
      return socket.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test"\r\n\r\n',
      );
    }
  }
  if (method !== "CONNECT") return socket.end("HTTP/1.1 405 Method Not Allowed\r\n\r\n");
  const port = options.routes[place!];
  if (port === undefined) return socket.end("HTTP/1.1 503 Service Unavailable\r\n\r\n");
  return lead(socket, port, () => socket.write("HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n"));
}

async function talkSocks(socket: Socket, reader: Reader, options: ProxyServerOptions, asked: string[]) {
  const first = await reader.until(2);
  if (options.answer !== undefined && options.answer(socket, first) !== false) return undefined;
  const methods = await reader.until(first[1]!);
  const method = options.credentials === undefined ? 0 : 2;
  if (!methods.includes(method)) return socket.end(Uint8Array.of(5, 0xff));
  socket.write(Uint8Array.of(5, method));
  if (method === 2) {
    const username = (await reader.until((await reader.until(2))[1]!)).toString();
    const password = (await reader.until((await reader.until(1))[0]!)).toString();
    const { credentials } = options;
    const isRight = username === credentials!.username && password === credentials!.password;
    if (!isRight) return socket.end(Uint8Array.of(1, 1));
    socket.write(Uint8Array.of(1, 0));
  }
  const kind = (await reader.until(4))[3]!;
  const host = kind === 3
    ? (await reader.until((await reader.until(1))[0]!)).toString()
    : (await reader.until(kind === 1 ? 4 : 16)).join(".");
  const place = `${host}:${(await reader.until(2)).readUInt16BE(0)}`;
  asked.push(place);
  const port = options.routes[place];
  if (port === undefined) return socket.end(Uint8Array.of(5, 4, 0, 1, 0, 0, 0, 0, 0, 0));
  return lead(socket, port, () => socket.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0)));
}

function lead(socket: Socket, port: number, opened: () => void) {
  const inner = connect(port, "127.0.0.1", () => {
    opened();
    socket.removeAllListeners("data");
    inner.pipe(socket);
    socket.pipe(inner);
  });
  inner.on("error", () => socket.destroy()).on("close", () => socket.destroy());
  socket.on("close", () => inner.destroy());
}
