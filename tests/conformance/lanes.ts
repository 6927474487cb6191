/** The transports of the lanes: the project's own, over each of its carriers. */

import type { Transport } from "@connectrpc/connect";
import { MAX_MESSAGE_BYTES } from "../../lib/core/limits.ts";
import { loadGzip } from "../../lib/direct/compressor.ts";
import type { Endpoint } from "../../lib/direct/endpoint.ts";
import { createFetchCarrier } from "../../lib/direct/fetch_carrier.ts";
import { createHttp2Carrier } from "../../lib/direct/http2_carrier.ts";
import type { Carrier } from "../../lib/rpc/carrier.ts";
import { createCarrierTransport } from "../../lib/rpc/transport.ts";
import { RUNTIME } from "../../lib/runtime/runtime.ts";
import { dial } from "../../mod.ts";
import { type ClientCompatRequest, Compression, HTTPVersion } from "./protocol.ts";

/** A source of transports. */
export type Lane = "fetch" | "http2" | "webrtc";

const MAX_BUFFERED_BYTES = 64 * 1024 * 1024;

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Makes transports, and keeps each for the calls to the same server. */
export class Transports {
  readonly #lane: Lane;
  readonly #made = new Map<string, Promise<{ readonly transport: Transport; close(): Promise<void> }>>();

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  /** The transport for a request. */
  async of(request: ClientCompatRequest): Promise<Transport> {
    const { host, port, serverTlsCert, clientTlsCreds, httpVersion, compression, messageReceiveLimit } =
      request;
    const key = JSON.stringify([
      host,
      port,
      text(serverTlsCert),
      clientTlsCreds === undefined ? null : text(clientTlsCreds.cert),
      httpVersion,
      compression,
      messageReceiveLimit,
    ]);
    let making = this.#made.get(key);
    if (making === undefined) {
      making = this.#lane === "webrtc" ? dialed(request) : direct(this.#lane, request);
      this.#made.set(key, making);
    }
    return (await making).transport;
  }

  /** Closes every transport. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#made.values(), async (made) => (await made).close()));
  }
}

async function dialed(request: ClientCompatRequest) {
  const { secure, tls } = endpointOf(request);
  const channel = await dial(`${request.host}:${request.port}`, {
    insecure: !secure,
    maxReconnectAttempts: 0,
    ...(tls === undefined ? {} : { tls }),
  });
  if (channel.path.protocol !== "webrtc") throw new Error(`dialed by ${channel.path.protocol}, not WebRTC`);
  return { transport: channel, close: () => channel.close() };
}

async function direct(lane: "fetch" | "http2", request: ClientCompatRequest) {
  const endpoint = endpointOf(request);
  const { httpVersion, compression, messageReceiveLimit } = request;
  const limits = {
    maxMessageBytes: messageReceiveLimit === 0 ? MAX_MESSAGE_BYTES : messageReceiveLimit,
    compressor: compression === Compression.GZIP ? await loadGzip() : undefined,
  };
  const carrier: Carrier = lane === "http2" || httpVersion === HTTPVersion.HTTP_VERSION_2
    ? createHttp2Carrier(endpoint, {
      ...limits,
      keepAliveMs: 0,
      runtime: RUNTIME,
      protocol: lane === "http2" ? "grpc" : "grpc-web",
    })
    : createFetchCarrier(endpoint, { ...limits, runtime: RUNTIME === "bun" ? "bun" : "node" });
  const transport = createCarrierTransport({
    carrier: () => carrier,
    baseUrl: `${endpoint.secure ? "https" : "http"}://${request.host}:${request.port}`,
    maxBufferedBytes: MAX_BUFFERED_BYTES,
  });
  return { transport, close: () => carrier.close() };
}

function endpointOf({ host, port, serverTlsCert, clientTlsCreds }: ClientCompatRequest): Endpoint {
  const secure = serverTlsCert.length > 0;
  return {
    secure,
    hostname: host,
    port,
    ...(secure
      ? {
        tls: {
          ca: text(serverTlsCert),
          ...(clientTlsCreds === undefined
            ? {}
            : { cert: text(clientTlsCreds.cert), key: text(clientTlsCreds.key) }),
        },
      }
      : {}),
  };
}
