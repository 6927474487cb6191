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

/** Waits until the proxy is connected, and asks it for the server. */
async function shakeHands(
  socket: Socket,
  proxy: Proxy,
  destination: Destination,
  signal: AbortSignal,
): Promise<Socket> {
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  let isConnected = false;
  const closed = () =>
    failed.reject(
      new ProxyError("ERR_PROXY_UNREACHABLE", proxy, "closed the connection before it answered"),
    );
  // It stays: later errors come to whoever has the socket, too.
  socket.on("error", (error) => failed.reject(unreachable(proxy, error, isConnected)));
  socket.on("close", closed).on("end", closed);
  function heard(event: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.once(event, resolve);
    return abortable(Promise.race([promise, failed.promise]), signal);
  }
  async function read(): Promise<Uint8Array> {
    for (let chunk: Uint8Array | null;; await heard("readable")) {
      if ((chunk = socket.read()) !== null) return chunk;
    }
  }
  try {
    await heard(proxy.scheme === "https" ? "secureConnect" : "connect");
    isConnected = true;
    const handshake = proxyHandshake(proxy, destination);
    let step = handshake.next();
    while (!step.done) {
      if (step.value !== undefined) socket.write(step.value);
      step = handshake.next(step.value === undefined ? await read() : undefined);
    }
    if (step.value.length > 0) socket.unshift(step.value);
    return socket;
  } finally {
    socket.off("close", closed).off("end", closed);
  }
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
