import { connect as connectTcp, isIP, type Socket } from "node:net";
import { Duplex } from "node:stream";
import type { ConnectionOptions } from "node:tls";
import { connectionFailure } from "../core/net/connection_error.ts";
import type { ChosenProxy } from "../core/net/proxy.ts";
import { ProxyError } from "../core/net/proxy_error.ts";
import type { Target } from "../core/net/target.ts";
import type { TlsOptions } from "../options/dial_options.ts";
import { abortable } from "../runtime/abortable.ts";
import { linkAbort } from "../runtime/linked_abort.ts";
import { RUNTIME } from "../runtime/runtime.ts";

/** A server, and the proxy to connect to it through. */
export interface Place extends Omit<Target, "secure"> {
  readonly proxy?: ChosenProxy | undefined;
}

/** Settings of a connection. */
export interface ConnectOptions {
  /** Gives up. */
  readonly signal: AbortSignal;
  /** Makes TLS over it, and how; the name to ask for is the host's by default. */
  readonly tls?: TlsOptions | undefined;
  /** Protocols that TLS chooses from (RFC 7301). */
  readonly protocols?: readonly string[];
  /** Longest time for all of it, in milliseconds: 20,000 by default, as in grpc-go. */
  readonly timeoutMs?: number;
}

/**
 * Makes a connection to a server, straight or through a proxy, with TLS if that is asked for. Every socket of this
 * library is opened here. The socket has a listener for errors, and reads nothing yet.
 *
 * @throws the error of the runtime, {@link ProxyError}, or the reason of the signal
 */
export async function openConnection(place: Place, options: ConnectOptions): Promise<Socket> {
  const { hostname, port, unixPath, proxy } = place;
  const { tls, protocols = [], timeoutMs = 20_000 } = options;
  using bound = linkAbort([options.signal], {
    timeoutMs,
    onTimeout: () => connectionFailure("ETIMEDOUT", `not connected after ${timeoutMs} ms`),
  });
  const { signal } = bound;
  signal.throwIfAborted();
  // Each is loaded when it is needed.
  const nodeTls = tls === undefined ? undefined : await abortable(import("node:tls"), signal);
  let tunnel: Socket | undefined;
  if (proxy !== undefined) {
    const { openTunnel } = await abortable(import("./tunnel.ts"), signal);
    // Half of the time, so that a silent proxy can be told apart from a silent server.
    tunnel = await openTunnel(usable(proxy), { hostname, port }, timeoutMs / 2, signal);
  } else if (RUNTIME === "deno" && hostname.includes("%")) {
    const { connectByDeno } = await abortable(import("./deno_socket.ts"), signal);
    tunnel = await connectByDeno(hostname, port, signal);
  }
  if (tunnel !== undefined && nodeTls === undefined) return tunnel;
  const where = tunnel !== undefined
    ? { socket: tunnel, host: hostname } // the host is what the certificate has to be for
    : unixPath === undefined
    ? { host: hostname, port, noDelay: true }
    : { path: unixPath };
  const socket = nodeTls === undefined ? connectTcp(where as { path: string }) : nodeTls.connect({
    ...where,
    // Without a name of its own TLS would ask for none. An address is none (RFC 6066, section 3).
    ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
    ...nodeOptions(tls!),
    ...(protocols.length === 0 ? {} : { ALPNProtocols: [...protocols] }),
  });
  if (nodeTls !== undefined && RUNTIME === "deno") setImmediate(() => prepareTls(nodeTls.connect));
  return await connected(socket, nodeTls === undefined ? "connect" : "secureConnect", signal);
}

/** The options as `node:tls` takes them. */
function nodeOptions({ ca, serverName, minVersion = "TLSv1.2", ...others }: TlsOptions): ConnectionOptions {
  return {
    ...others,
    minVersion,
    ...(ca === undefined ? {} : { ca: [ca].flat() }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}

let isPrepared = false;

/**
 * Lets Deno load what its TLS needs while the first connection is being made: some 40 ms, which it takes otherwise once
 * that is there.
 */
function prepareTls(connectTls: typeof import("node:tls").connect): void {
  if (isPrepared) return;
  isPrepared = true;
  const nowhere = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  connectTls({ socket: nowhere as unknown as Socket }).on("error", () => {}).destroy();
}

function usable({ proxy, namedBy }: ChosenProxy) {
  if (!("problem" in proxy)) return proxy;
  throw new ProxyError("ERR_PROXY_URL", `the environment variable ${namedBy}`, proxy.problem);
}

/** Waits until a socket is connected; destroys it when it is not. */
async function connected(socket: Socket, event: string, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const closed = () => reject(connectionFailure("ECONNRESET", "connection closed"));
  socket.on("error", reject).on("close", closed).once(event, resolve);
  try {
    await abortable(promise, signal);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    socket.off("close", closed).off(event, resolve);
  }
}
