import type { Agent, IncomingMessage } from "node:http";
import process from "node:process";
import type { Socket } from "node:net";
import type { RequestOptions } from "node:https";
import type { Transform } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { connectionFailure } from "../core/net/connection_error.ts";
import { abortable } from "../runtime/abortable.ts";
import { RUNTIME } from "../runtime/runtime.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";
import type { Endpoint } from "./endpoint.ts";

/** The type of the globals; that of node:stream differs from one runtime's declarations to the next's. */
type WebStream = ReadableStream<Uint8Array<ArrayBuffer>>;

/** Statuses without a body (https://fetch.spec.whatwg.org/#null-body-status). */
const NULL_BODY = new Set([204, 205, 304]);

/** Most bytes of an answer's headers: errors may have long texts, and other runtimes take these. By default 16 KiB. */
const MAX_HEADER_BYTES = 256 * 1024;

type OpenConnection = typeof import("../net/connection.ts").openConnection;
type Zlib = typeof import("node:zlib");

/** Encodings that a proxy in front of the server may apply unasked, each with its decoder. */
const DECODERS: ReadonlyMap<string, (zlib: Zlib) => Transform> = new Map([
  ["gzip", gunzip],
  ["x-gzip", gunzip],
  ["deflate", (zlib) => zlib.createInflate({ flush: zlib.constants.Z_SYNC_FLUSH })],
  ["br", (zlib) => zlib.createBrotliDecompress({ flush: zlib.constants.BROTLI_OPERATION_FLUSH })],
]);

function gunzip(zlib: Zlib): Transform {
  return zlib.createGunzip({ flush: zlib.constants.Z_SYNC_FLUSH });
}

/** `fetch`, set up for one server. */
export interface RuntimeFetch {
  /** Adds to `init`. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Ends idle connections that are its own. */
  close(): void;
}

/**
 * `fetch` over `node:http` and `node:https`. Node's own takes no TLS settings, and has one pool of connections for the
 * whole process: one that was opened while a server was silent, or over a network that is gone, is taken for the next
 * call, which then hears nothing. Bun uses this one through proxies, and where its own fetch lacks a setting.
 *
 * @param keepAliveMs Silence after which the system asks the other computer whether it is there (TCP keep-alive), for
 * some 10 s. 0 for never.
 */
export function createNodeFetch(endpoint: Endpoint, keepAliveMs = 0): RuntimeFetch {
  const { secure, tls = {} } = endpoint;
  const closing = new AbortController();
  let modules: Awaited<ReturnType<typeof loadModules>> | undefined;
  let agent: Agent | undefined;

  /** The runtimes' agents would follow the environment, which may name a proxy. */
  function connectBy(openConnection: OpenConnection): Agent["createConnection"] {
    const options = { signal: closing.signal, tls: secure ? tls : undefined };
    return (_options, made) => {
      openConnection(endpoint, options).then(
        (socket) => {
          if (keepAliveMs > 0) probeInSilence(socket, keepAliveMs);
          made?.(null, socket);
        },
        (error) => made?.(error, undefined!),
      );
      return undefined as unknown as Socket; // it comes by the callback
    };
  }

  return {
    async fetch(url, init) {
      const { method = "GET", headers, signal, body } = init;
      modules ??= await abortable(loadModules(secure), signal ?? undefined);
      const [http, { Readable, pipeline }, zlib, { openConnection }] = modules;
      if (agent === undefined) {
        agent = new http.Agent({
          keepAlive: true,
          ...(keepAliveMs > 0 ? { keepAliveMsecs: keepAliveMs } : {}),
        });
        agent.createConnection = connectBy(openConnection);
      }
      const options: RequestOptions = {
        method,
        agent,
        headers: Object.fromEntries(new Headers(headers)),
        maxHeaderSize: MAX_HEADER_BYTES,
      };
      // A request that has no connection yet says nothing when it is aborted.
      return await abortable(
        new Promise((resolve, reject) => {
          const request = http.request(url, { ...options, ...(signal ? { signal } : {}) });
          // Deno sends a request again on another connection if the one that it has used before is lost, even by an abort
          // (https://github.com/denoland/deno/issues/36786).
          request.on("socket", () => request.reusedSocket = false);
          request.on("error", reject);
          let isAnswered = false;
          request.on("close", () => {
            if (!isAnswered) reject(connectionFailure("ECONNRESET", "connection closed"));
          });
          request.on("upgrade", (response, socket) => {
            socket.destroy();
            resolve(webResponse(response, null));
            isAnswered = true;
          });
          request.on("response", (response) => {
            const decoder = DECODERS.get(response.headers["content-encoding"]?.toLowerCase() ?? "");
            const body = decoder === undefined ? response : pipeline(response, decoder(zlib), () => {});
            // Whoever reads the body is told there; a body that nobody reads any more has nobody to tell.
            body.on("error", () => {});
            resolve(webResponse(response, Readable.toWeb(body) as unknown as WebStream));
            isAnswered = true;
          });
          if (body instanceof ReadableStream) {
            // Node else holds them back until the body's first bytes.
            request.flushHeaders();
            pipeline(Readable.fromWeb(body as unknown as NodeReadableStream), request, (error) => {
              if (error) reject(error);
            });
          } else {
            request.end(body ?? undefined);
          }
        }),
        signal ?? undefined,
      );
    },
    close() {
      closing.abort(connectionFailure("ECONNRESET", "connection closed"));
      agent?.destroy();
    },
  };
}

function loadModules(secure: boolean) {
  return Promise.all([
    secure ? import("node:https") : import("node:http"),
    import("node:stream"),
    import("node:zlib"),
    import("../net/connection.ts"),
  ]);
}

/** Time between two probes of a silent connection, in milliseconds; node sets the same. */
const PROBE_MS = 1_000;

/**
 * Lets TCP probe a connection that is silent. Deno leaves the system's 75 s between two of 9 probes. On Linux, a new start
 * counts from the last packet, and asks at once; other systems may count from the start, and would never ask.
 */
function probeInSilence(socket: Socket, keepAliveMs: number): void {
  const probe = () => void socket.setKeepAlive(false).setKeepAlive(true, keepAliveMs);
  probe();
  if (RUNTIME !== "deno" || process.platform !== "linux") return;
  const probing = setInterval(probe, PROBE_MS);
  unrefTimer(probing);
  socket.once("close", () => clearInterval(probing));
}

function webResponse(response: IncomingMessage, body: WebStream | null): Response {
  const { statusCode: status = 0, rawHeaders } = response;
  const headers = new Headers();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    headers.append(rawHeaders[index]!, rawHeaders[index + 1]!);
  }
  if (NULL_BODY.has(status)) response.resume();
  // `Response` refuses others, which a server may send all the same.
  const isUsual = status >= 200 && status <= 599;
  const made = new Response(NULL_BODY.has(status) ? null : body, { status: isUsual ? status : 500, headers });
  return isUsual ? made : Object.defineProperty(made, "status", { value: status });
}
