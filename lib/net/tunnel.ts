import { lookup } from "node:dns/promises";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, rootCertificates } from "node:tls";
import { messageOf } from "../core/error_message.ts";
import { connectionReason } from "../core/net/connection_error.ts";
import type { Proxy } from "../core/net/proxy.ts";
import { ProxyError } from "../core/net/proxy_error.ts";
import { type Destination, proxyHandshake } from "../core/net/proxy_handshake.ts";
import { abortable } from "../runtime/abortable.ts";
import { linkAbort } from "../runtime/linked_abort.ts";

/**
 * Opens a connection to a server through a proxy. What the server has sent meanwhile is the first that the socket reads.
 *
 * @param timeoutMs Time for the proxy to open it, in milliseconds.
 * @throws {ProxyError} if the proxy does not make it; or the reason of the signal
 */
export async function openTunnel(
  proxy: Proxy,
  destination: Destination,
  timeoutMs: number,
  given: AbortSignal,
): Promise<Socket> {
  given.throwIfAborted();
  using bound = linkAbort([given], {
    timeoutMs,
    onTimeout: () =>
      new ProxyError("ERR_PROXY_UNREACHABLE", proxy, `opened no connection within ${timeoutMs} ms`),
  });
  const { signal } = bound;
  let socket: Socket | undefined;
  try {
    const place = await resolved(proxy, destination, signal);
    socket = proxy.scheme === "https"
      ? connectTls({
        host: proxy.hostname,
        port: proxy.port,
        ...(isIP(proxy.hostname) === 0 ? { servername: proxy.hostname } : {}),
        ca: [...rootCertificates, ...proxy.ca ?? []],
        // Credentials go here, whatever the server's certificate may be.
        rejectUnauthorized: true,
      })
      : connectTcp({ host: proxy.hostname, port: proxy.port });
    return await shakeHands(socket, proxy, place, signal);
  } catch (error) {
    socket?.destroy();
    throw error;
  }
}

/** Resolves the name of the server for a socks5:// proxy; others resolve it themselves. */
async function resolved(
  { scheme }: Proxy,
  { hostname, port }: Destination,
  signal: AbortSignal,
): Promise<Destination> {
  if (scheme !== "socks5" || isIP(hostname) !== 0) return { hostname, port };
  return { hostname: (await abortable(lookup(hostname), signal)).address, port };
}

function shakeHands(
  socket: Socket,
  proxy: Proxy,
  destination: Destination,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const handshake = proxyHandshake(proxy, destination);
    let connected = false;
    const finish = (settle: () => void) => {
      signal.removeEventListener("abort", abort);
      socket.off(ready, begin).off("readable", receive).off("close", closed).off("end", closed);
      settle();
    };
    const fail = (error: unknown) => finish(() => reject(error));
    const abort = () => fail(signal.reason);
    const closed = () =>
      fail(new ProxyError("ERR_PROXY_UNREACHABLE", proxy, "closed the connection before it answered"));
    /** Goes on with a chunk; tells whether the handshake is still going on. */
    const advance = (chunk?: Uint8Array): boolean => {
      try {
        let step = chunk === undefined ? handshake.next() : handshake.next(chunk);
        for (; !step.done && step.value !== undefined; step = handshake.next()) socket.write(step.value);
        if (!step.done) return true;
        const early = step.value;
        if (early.length > 0) socket.unshift(early);
        finish(() => resolve(socket));
      } catch (error) {
        fail(error);
      }
      return false;
    };
    const begin = () => {
      connected = true;
      advance();
    };
    const receive = () => {
      let chunk: Uint8Array | null;
      do chunk = socket.read(); while (chunk !== null && advance(chunk));
    };
    const ready = proxy.scheme === "https" ? "secureConnect" : "connect";
    // It stays: later errors come to whoever has the socket, too.
    socket.on("error", (error) => fail(unreachable(proxy, error, connected)));
    socket.once(ready, begin).on("readable", receive).on("close", closed).on("end", closed);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

function unreachable(proxy: Proxy, error: unknown, connected: boolean): ProxyError {
  const reason = connectionReason(error) ?? messageOf(error);
  const isTls = reason === "certificate not trusted" || reason === "TLS failed";
  return new ProxyError(
    isTls && proxy.scheme === "https" ? "ERR_PROXY_TLS" : "ERR_PROXY_UNREACHABLE",
    proxy,
    connected ? `failed: ${reason}` : `cannot be reached: ${reason}`,
    error,
  );
}
