import { Code, ConnectError } from "@connectrpc/connect";
import type { Carrier } from "../rpc/carrier.ts";
import { endedCall } from "../rpc/held_call.ts";
import { EndingListener } from "./call_ending.ts";
import type { MessageOptions } from "./compressor.ts";
import type { Endpoint } from "./endpoint.ts";
import { Http2Call, type Http2CallContext } from "./http2_call.ts";
import { requestHeadersFor } from "./http2_headers.ts";
import { watchIdleConnections } from "./idle_connections.ts";
import { type Connection, createSessionPool, type SessionOptions } from "./session_pool.ts";

/** Options of an HTTP/2 carrier. */
export interface Http2CarrierOptions extends MessageOptions, SessionOptions {}

/** A carrier over HTTP/2. */
export interface Http2Carrier extends Carrier {
  readonly connection: Connection;
}

/** Opens calls as gRPC (grpc/doc/PROTOCOL-HTTP2.md) or gRPC-Web (PROTOCOL-WEB.md) over `node:http2`. */
export function createHttp2Carrier(endpoint: Endpoint, options: Http2CarrierOptions): Http2Carrier {
  const { protocol = "grpc" } = options; // native
  const pool = createSessionPool(endpoint, options);
  const idle = watchIdleConnections();
  let closed: ConnectError | undefined;
  const open = new Set<Http2Call>();
  const context: Http2CallContext = {
    ...options,
    endpoint,
    protocol,
    headersOf: requestHeadersFor(endpoint, options.compressor, protocol),
    onOver: (call) => open.delete(call),
    acquire(short, call) {
      const seen = idle.seen();
      if (seen !== undefined) return seen.then(() => pool.acquire(short, call));
      idle.used();
      return pool.acquire(short, call);
    },
    release(session) {
      idle.used();
      pool.release(session);
    },
  };

  return {
    connection: pool.connection,
    open(request, listener) {
      if (closed !== undefined) return endedCall(closed, listener);
      const call = new Http2Call(request, new EndingListener(listener), context);
      open.add(call);
      return call;
    },
    close() {
      if (closed !== undefined) return Promise.resolve();
      closed = new ConnectError("the channel is closed", Code.Unavailable);
      for (const call of open) call.fail(closed);
      pool.close();
      return Promise.resolve();
    },
  };
}
