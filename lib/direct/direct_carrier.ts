import { Code, ConnectError } from "@connectrpc/connect";
import { type CarrierChoice, chooseCarrier, isPortRefusedByFetch } from "../core/grpc/carrier_choice.ts";
import type { Call, CallListener, CallRequest, Carrier } from "../rpc/carrier.ts";
import { heldCall } from "../rpc/held_call.ts";
import { unaryCall } from "../rpc/unary_call.ts";
import { abortable } from "../runtime/abortable.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Connection } from "./session_pool.ts";
import { loadGzip } from "./compressor.ts";
import { describeTarget } from "../core/net/target.ts";
import type { Endpoint } from "./endpoint.ts";
import { greet, type Greeting, type Question } from "./greeting.ts";

/** Time for the answer whether a server speaks gRPC-Web, too, in milliseconds. */
const ASK_WEB_MS = 5_000;

/** Options of a direct carrier. */
export interface DirectCarrierOptions {
  /** The protocol to speak; "auto" asks the server. */
  readonly protocol: "auto" | "grpc" | "grpc-web";
  /** The first call, which also shows what the server speaks; by default, one of a nonexistent method. */
  readonly question?: Question | undefined;
  readonly compression: "none" | "gzip";
  readonly maxMessageBytes: number;
  /** Interval of HTTP/2 pings, in milliseconds; 0 for none. */
  readonly keepAliveMs: number;
  readonly runtime: Runtime;
  /** Gives up the opening. */
  readonly signal: AbortSignal;
}

/** A carrier that chooses the way of each call. */
export interface DirectCarrier extends Carrier {
  /** The way of unary calls. */
  readonly description: { readonly protocol: "grpc" | "grpc-web"; readonly httpVersion: string };
  /** The connection of its calls; undefined with gRPC-Web, where it is the runtime's. */
  readonly connection: Connection | undefined;
  /** The refusal of the greeting, which has no token; undefined where callers need none. */
  readonly refusal: ConnectError | undefined;
  /** Sets who is told when a connection is found lost. */
  onConnectionLost(listener: () => void): void;
}

/** True if the answer to gRPC-Web says what is there, and native gRPC only broke the connection. */
function saysMore(web: ConnectError, native: ConnectError): boolean {
  const isAnswer = web.cause === undefined && native.cause !== undefined;
  // Servers that speak HTTP/2 alone may refuse HTTP/1.1 so, and want no credentials by that.
  return isAnswer && web.code !== Code.Unauthenticated && web.code !== Code.PermissionDenied;
}

/**
 * Opens a way to a server over HTTP. What the server speaks is learnt by one harmless request; no user's call is
 * ever tried twice.
 *
 * @throws ConnectError `Unavailable` when the server cannot be reached, naming it, or speaks neither
 */
export async function openDirectCarrier(
  endpoint: Endpoint,
  options: DirectCarrierOptions,
): Promise<DirectCarrier> {
  const { runtime, protocol } = options;
  let onConnectionLost = () => {};
  const shared = {
    runtime,
    maxMessageBytes: options.maxMessageBytes,
    keepAliveMs: options.keepAliveMs,
    compressor: options.compression === "gzip" ? await loadGzip() : undefined,
    onConnectionLost: () => onConnectionLost(),
  };
  const tls = endpoint.tls ?? {};
  // Bun's own is not told of proxies by us, and cannot take every setting.
  const fetchRuntime = runtime === "bun" && endpoint.proxy === undefined &&
      tls.serverName === undefined && tls.minVersion !== "TLSv1.3" && !isPortRefusedByFetch(endpoint.port)
    ? "bun"
    : "node";
  // No URL has the path of a socket, or the zone of an address.
  const needsHttp2 = endpoint.unixPath !== undefined || endpoint.hostname.includes("%");
  const carriers = new Map<CarrierChoice, Carrier>();
  let connection: Connection | undefined;

  async function carrierOf(choice: CarrierChoice, signal: AbortSignal): Promise<Carrier> {
    // Each is loaded when it is needed.
    const http2 = choice === "fetch"
      ? undefined
      : (await abortable(import("./http2_carrier.ts"), signal)).createHttp2Carrier(endpoint, {
        ...shared,
        protocol: choice === "http2" ? "grpc" : "grpc-web",
      });
    const made = http2 ??
      (await abortable(import("./fetch_carrier.ts"), signal)).createFetchCarrier(endpoint, {
        ...shared,
        runtime: fetchRuntime,
      });
    if (closed) throw new ConnectError("the channel is closed", Code.Unavailable);
    carriers.set(choice, made);
    connection ??= http2?.connection;
    return made;
  }

  let refusal: ConnectError | undefined;
  let closed = false;
  async function close(): Promise<void> {
    closed = true;
    await Promise.all(Array.from(carriers.values(), (carrier) => carrier.close()));
  }

  let spoken: "grpc" | "grpc-web";
  try {
    spoken = await learn();
  } catch (error) {
    await close();
    throw error;
  }
  const unaryCarrier = carriers.get(spoken === "grpc" ? "http2" : "fetch")!;

  /** Asks what the server speaks: native gRPC first, by which every kind of call goes. */
  async function learn(): Promise<"grpc" | "grpc-web"> {
    if (needsHttp2 && protocol === "grpc-web") {
      throw new ConnectError(
        `${
          describeTarget(endpoint)
        } needs node:http2, which speaks native gRPC: do not set protocol to "grpc-web"`,
        Code.FailedPrecondition,
      );
    }
    let failed: Greeting | undefined;
    for (const asked of ["grpc", "grpc-web"] as const) {
      if (protocol !== "auto" && protocol !== asked || (asked === "grpc-web" && needsHttp2)) continue;
      const carrier = await carrierOf(asked === "grpc" ? "http2" : "fetch", options.signal);
      const greeting = await greet(carrier, asked, options.signal, options.question);
      if (greeting.speaks) {
        refusal = greeting.refusal;
        return asked;
      }
      if (failed === undefined || saysMore(greeting.error, failed.error)) failed = greeting;
      if (greeting.unreachable) break;
    }
    throw failed!.error;
  }

  function open(request: CallRequest, listener: CallListener): Call {
    const choice = chooseCarrier(spoken, request.kind);
    const carrier = carriers.get(choice);
    if (carrier !== undefined) return carrier.open(request, listener);
    const making = carrierOf(choice, new AbortController().signal);
    return heldCall(making.then((made) => () => made.open(request, listener)), listener);
  }

  let learningWeb: Promise<Carrier> | undefined;
  /**
   * On Node a call over HTTP/2 leaves when the event loop turns. A program that computes for long turns it too seldom
   * for its heartbeats; over HTTP/1.1 they leave at once.
   */
  function urgentCarrier(): Promise<Carrier> {
    const mayAsk = runtime === "node" && protocol === "auto" && spoken === "grpc" && !needsHttp2;
    learningWeb ??= (async () => {
      if (!mayAsk) return unaryCarrier;
      const signal = AbortSignal.timeout(ASK_WEB_MS);
      const carrier = await carrierOf("fetch", signal);
      return (await greet(carrier, "grpc-web", signal)).speaks ? carrier : unaryCarrier;
    })().catch(() => unaryCarrier);
    return learningWeb;
  }

  return {
    open,
    connection: spoken === "grpc" ? connection : undefined,
    refusal,
    onConnectionLost(listener) {
      onConnectionLost = listener;
    },
    unary(request, message, signal) {
      if (request.urgent !== true) return unaryCall(unaryCarrier, request, message, signal);
      return abortable(urgentCarrier(), signal).then((carrier) =>
        unaryCall(carrier, request, message, signal)
      );
    },
    close,
    description: spoken === "grpc"
      ? { protocol: spoken, httpVersion: "HTTP/2" }
      : { protocol: spoken, httpVersion: endpoint.secure ? "HTTPS" : "HTTP/1.1" },
  };
}
