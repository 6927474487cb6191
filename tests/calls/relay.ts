/** A TCP relay in front of a machine, which cuts or silences connections at will. */

import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";

/** The place of a relay's cut: after so many more bytes in one direction. */
export interface Cut {
  readonly direction: "request" | "answer";
  readonly afterBytes: number;
}

/** A running relay. */
export interface Relay extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** Connections made so far. */
  readonly connections: number;
  /** Cuts each connection once so many more bytes have passed on it. */
  cutAfter(cut: Cut | undefined): void;
  /** Cuts every connection now: closes it, or resets it, which no runtime does to its TLS sockets. */
  cut(how: "close" | "reset"): void;
  /** Passes nothing more on the connections of now, and leaves them open. Later ones work. */
  silence(): void;
  /** Resolves when a client next sends something on the last connection, if that passes nothing. */
  sentInVain(): Promise<void>;
  /** Passes nothing on the connections of now until it is told to go on. Later ones work. */
  hold(): { goOn(): void };
  /** Passes nothing more at all, and takes connections all the same. */
  lose(): void;
}

/** Starts a relay to a port of this computer. With a certificate it speaks TLS itself, and HTTP/1.1 alone. */
export async function startRelay(
  port: number,
  certificate?: { readonly cert: string; readonly key: string },
): Promise<Relay> {
  const pairs = new Set<{ readonly sockets: readonly net.Socket[]; silent: boolean }>();
  let cutting: Cut | undefined;
  let vain = Promise.withResolvers<void>();
  let connections = 0, isLost = false;
  const server = certificate === undefined
    ? net.createServer({ noDelay: true }, accept)
    : tls.createServer({ ...certificate, ALPNProtocols: ["http/1.1"] }, accept);
  server.on("tlsClientError", () => {});
  function accept(outer: net.Socket): void {
    const number = ++connections;
    const inner = net.connect({ port, host: "127.0.0.1", noDelay: true });
    const pair = { sockets: [outer, inner], silent: isLost };
    pairs.add(pair);
    const drop = () => {
      pairs.delete(pair);
      outer.destroy();
      inner.destroy();
    };
    const pass = (from: net.Socket, to: net.Socket, direction: Cut["direction"]) => {
      let seen: Cut | undefined, left = Infinity;
      from.on("data", (data: Uint8Array) => {
        if (pair.silent) {
          if (direction === "request" && number === connections) vain.resolve();
          return;
        }
        if (seen !== cutting) {
          seen = cutting;
          left = cutting?.direction === direction ? cutting.afterBytes : Infinity;
        }
        if (data.length < left) {
          left -= data.length;
          to.write(data);
          return;
        }
        if (left > 0) to.write(data.subarray(0, left));
        // The other end reads what it got first.
        pair.silent = true;
        setTimeout(drop, 5);
      });
      from.on("error", drop);
      from.on("close", () => {
        if (!pair.silent) drop();
      });
    };
    pass(outer, inner, "request");
    pass(inner, outer, "answer");
  }
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    address: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    get connections() {
      return connections;
    },
    cutAfter(cut) {
      cutting = cut;
    },
    cut(how) {
      for (const { sockets } of pairs) {
        for (const socket of sockets) {
          if (how === "close" || socket instanceof tls.TLSSocket) socket.end();
          else socket.resetAndDestroy();
        }
      }
    },
    silence() {
      for (const pair of pairs) pair.silent = true;
    },
    sentInVain() {
      vain = Promise.withResolvers();
      return vain.promise;
    },
    hold() {
      const held = [...pairs].flatMap(({ sockets }) => sockets);
      for (const socket of held) socket.pause();
      return {
        goOn() {
          for (const socket of held) socket.resume();
        },
      };
    },
    lose() {
      isLost = true;
      for (const pair of pairs) pair.silent = true;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const { sockets } of pairs) for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
