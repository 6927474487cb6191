import type { Endpoint } from "./endpoint.ts";
import { createNodeFetch, type RuntimeFetch } from "./node_fetch.ts";

/** The HTTP version of a fetch. */
export type FetchVersion = "http1" | "http2";

/** The part of Deno that is used here; Bun's types do not know it. */
interface DenoClients {
  createHttpClient(options: {
    caCerts?: string[];
    cert?: string;
    key?: string;
    http1?: boolean;
    http2?: boolean;
    proxy?: { transport: "tcp"; hostname: string; port: number };
  }): { close(): void };
}

/**
 * Sets `fetch` up: each runtime has its own way to say which TLS, which HTTP version and no proxy. Only Node's goes
 * through one, on sockets that are opened here.
 */
export function createRuntimeFetch(
  endpoint: Endpoint,
  runtime: "deno" | "bun" | "node",
  version: FetchVersion,
  keepAliveMs: number,
): RuntimeFetch {
  if (runtime === "deno") return denoFetch(endpoint, version);
  if (runtime === "node") return createNodeFetch(endpoint, keepAliveMs);
  const init = bunInit(endpoint, version);
  return {
    fetch: (url, request) => fetch(url, Object.assign(request, init)),
    close() {},
  };
}

function denoFetch(endpoint: Endpoint, version: FetchVersion): RuntimeFetch {
  const { Deno: deno } = globalThis as unknown as { Deno: DenoClients };
  const { secure, hostname, port, tls: { ca, cert, key } = {}, mayBeProxied } = endpoint;
  // A client of its own: closing it closes its idle connections, which the shared one keeps.
  const client = deno.createHttpClient({
    ...(ca === undefined ? {} : { caCerts: [ca].flat() }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    http1: version === "http1",
    http2: version === "http2",
    // Otherwise Deno follows the environment, to this computer as well.
    ...(mayBeProxied !== true || secure
      ? {}
      : { proxy: { transport: "tcp", hostname: hostname.includes(":") ? `[${hostname}]` : hostname, port } }),
  });
  return {
    fetch: (url, request) => fetch(url, Object.assign(request, { client })),
    close: () => client.close(),
  };
}

function bunInit(endpoint: Endpoint, version: FetchVersion): Record<string, unknown> {
  // Others are not for Bun's fetch (`direct_carrier.ts`).
  const { serverName: _serverName, minVersion: _minVersion, ...tls } = endpoint.tls ?? {};
  return {
    ...(endpoint.tls === undefined ? {} : { tls }),
    ...(version === "http2" ? { protocol: "http2" } : {}),
    // Bun's connections are the whole process's, and stay for later requests.
    ...(endpoint.fresh === true ? { keepalive: false } : {}),
    // An empty string, or nothing, would follow the environment.
    proxy: false,
  };
}
