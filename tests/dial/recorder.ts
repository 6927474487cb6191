/** Servers that keep every byte that a client sends them. */

import { Buffer } from "node:buffer";
import net from "node:net";
import tls from "node:tls";

/** The behaviour of a recording server. It records in any case. */
export type Behaviour =
  /** Passes everything on to a port of this machine, and back. */
  | { readonly kind: "forward"; readonly port: number }
  /** Answers the first bytes with these, and goes on listening. */
  | { readonly kind: "answer"; readonly bytes: Uint8Array | string }
  /** Speaks first. */
  | { readonly kind: "greet"; readonly bytes: Uint8Array | string }
  /** Accepts, and says nothing. */
  | { readonly kind: "silent" }
  /** Resets the connection at its first bytes. */
  | { readonly kind: "reset" }
  /** Ends the connection at its first bytes, without one of its own. */
  | { readonly kind: "end" };

/** A recording server. */
export interface Recorder extends AsyncDisposable {
  readonly port: number;
  /** `127.0.0.1:port` */
  readonly address: string;
  /** The bytes that came in, by connection. After TLS, where the server speaks that. */
  readonly received: readonly Buffer[];
  /** Connections that are open. */
  readonly open: number;
  /** Ends every connection, and listens on. */
  drop(): void;
  /** Forwards nothing more on the connections that are open, in either direction. */
  mute(): void;
}

/** Settings of a recording server. */
export interface RecorderOptions {
  /** Ends TLS before it records. */
  readonly tls?: tls.TlsOptions;
  /** 0, the default, for any. */
  readonly port?: number;
}

/** Starts a recording server on the loopback. */
export async function startRecorder(behaviour: Behaviour, options: RecorderOptions = {}): Promise<Recorder> {
  const received: Buffer[] = [];
  const sockets = new Set<net.Socket>();
  const muted = new Set<net.Socket>();

  function track(socket: net.Socket): void {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  }

  function serve(socket: net.Socket): void {
    track(socket);
    const index = received.push(Buffer.alloc(0)) - 1;
    let first = true;
    let inner: net.Socket | undefined;
    if (behaviour.kind === "forward") {
      inner = net.connect({ host: "127.0.0.1", port: behaviour.port });
      track(inner);
      inner.on("data", (chunk) => muted.has(socket) || socket.write(chunk));
      inner.on("close", () => socket.destroy());
      socket.on("close", () => inner!.destroy());
    }
    if (behaviour.kind === "greet") socket.write(behaviour.bytes);
    socket.on("data", (chunk: Buffer) => {
      received[index] = Buffer.concat([received[index]!, chunk]);
      if (inner !== undefined && !muted.has(socket)) inner.write(chunk);
      if (!first) return;
      first = false;
      if (behaviour.kind === "answer") socket.write(behaviour.bytes);
      else if (behaviour.kind === "reset") socket.resetAndDestroy();
      else if (behaviour.kind === "end") socket.end();
    });
  }

  const server = options.tls === undefined
    ? net.createServer({ noDelay: true }, serve)
    : tls.createServer(options.tls, serve);
  server.on("connection", track);
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as net.AddressInfo;

  const drop = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port,
    address: `127.0.0.1:${port}`,
    received,
    get open() {
      return sockets.size;
    },
    drop,
    mute() {
      for (const socket of sockets) muted.add(socket);
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      drop();
      await closed;
    },
  };
}

/**
 * True if bytes are TLS and nothing else, as far as they go: a run of records (RFC 8446, section 5.1), the last of
 * which may be cut off.
 */
export function isTls(bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.length) {
    const type = bytes[at]!, major = bytes[at + 1] ?? 3;
    if (type < 20 || type > 23 || major !== 3) return false;
    if (at + 5 > bytes.length) return true;
    const length = bytes[at + 3]! << 8 | bytes[at + 4]!;
    if (length > 16_640) return false;
    at += 5 + length;
  }
  return true;
}

/** True if the text is anywhere in the bytes that a server has received. */
export function includes(received: readonly Buffer[], text: string): boolean {
  return received.some((bytes) => bytes.includes(text));
}
