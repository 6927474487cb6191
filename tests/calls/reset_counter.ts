/** A relay in front of an HTTP/2 server that counts what the client resets. */

import { connect, createServer, type Socket } from "node:net";
import { once } from "node:events";

/** A running relay. */
export interface ResetCounter extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** RST_STREAM frames that clients have sent, in all. */
  readonly resets: number;
  /** HEADERS frames that clients have sent: calls. */
  readonly calls: number;
}

const PREFACE_BYTES = 24, FRAME_HEADER_BYTES = 9;
const HEADERS = 1, RST_STREAM = 3;

/** Starts a relay to `127.0.0.1:PORT`. */
export async function startResetCounter(target: string): Promise<ResetCounter> {
  let resets = 0, calls = 0;
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: "127.0.0.1", port: Number(target.split(":")[1]), noDelay: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        (socket === client ? upstream : client).destroy();
      });
    }
    let rest = new Uint8Array(0), skip = PREFACE_BYTES;
    client.on("data", (chunk: Uint8Array) => {
      upstream.write(chunk);
      const bytes = new Uint8Array(rest.length + chunk.length);
      bytes.set(rest);
      bytes.set(chunk, rest.length);
      let at = 0;
      for (;;) {
        const skipped = Math.min(skip, bytes.length - at);
        at += skipped;
        skip -= skipped;
        if (skip > 0 || bytes.length - at < FRAME_HEADER_BYTES) break;
        const type = bytes[at + 3]!;
        if (type === RST_STREAM) resets++;
        if (type === HEADERS) calls++;
        skip = FRAME_HEADER_BYTES + (bytes[at]! << 16) + (bytes[at + 1]! << 8) + bytes[at + 2]!;
      }
      rest = bytes.slice(at);
    });
    upstream.pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  return {
    address: `127.0.0.1:${port}`,
    get resets() {
      return resets;
    },
    get calls() {
      return calls;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
