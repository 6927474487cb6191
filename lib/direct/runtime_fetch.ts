import type { Endpoint } from "./endpoint.ts";
import { createNodeFetch, type RuntimeFetch } from "./node_fetch.ts";

/**
 * Sets `fetch` up for one server, over HTTP/1.1: on Bun its own, with the server's TLS and no proxy, elsewhere one on
 * sockets of ours. Deno's own has no TCP keep-alive, so that a call on a dead connection waits for ever, and it sends
 * requests again unasked.
 *
 * @param keepAliveMs Silence after which TCP asks for a sign of life, in milliseconds, on sockets of ours; 0 for never.
 */
export function createRuntimeFetch(
  endpoint: Endpoint,
  runtime: "bun" | "node",
  keepAliveMs: number,
): RuntimeFetch {
  if (runtime === "node") return createNodeFetch(endpoint, keepAliveMs);
  // Others are not for Bun's fetch (`direct_carrier.ts`).
  const { serverName: _serverName, minVersion: _minVersion, ...tls } = endpoint.tls ?? {};
  const init = {
    ...(endpoint.tls === undefined ? {} : { tls }),
    // Bun's connections are the whole process's, and stay for later requests.
    ...(endpoint.fresh === true ? { keepalive: false } : {}),
    // An empty string, or nothing, would follow the environment.
    proxy: false,
  };
  return {
    fetch: (url, request) => fetch(url, Object.assign(request, init)),
    close() {},
  };
}
