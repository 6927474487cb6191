import { Code, ConnectError } from "@connectrpc/connect";
import { type CarrierChoice, chooseCarrier, isPortRefusedByFetch } from "../core/grpc/carrier_choice.ts";
import type { StreamKind } from "../core/grpc/stream_kind.ts";
import { UnsupportedCallError } from "../core/grpc/unsupported_call.ts";
import type { Call, CallListener, CallRequest, Carrier } from "../rpc/carrier.ts";
import { endedCall, heldCall } from "../rpc/held_call.ts";
import { unaryCall } from "../rpc/unary_call.ts";
import { abortable } from "../runtime/abortable.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { loadGzip } from "./compressor.ts";
import { describeTarget } from "../core/net/target.ts";
import { type Endpoint, needsSockets } from "./endpoint.ts";
import { createFetchCarrier } from "./fetch_carrier.ts";
import { greet, type Greeting, type Question } from "./greeting.ts";

/** Options of a direct carrier. */
export interface DirectCarrierOptions {
  /** The protocol to speak; "auto" asks the server. */
  readonly protocol: "auto" | "grpc" | "grpc-web";
  /**
   * Asks for native gRPC first, and then speaks nothing else: all calls share one connection, and those that
   * stream need no second one. It takes node:http2, which is slower than fetch in single calls.
   */
  readonly prefersGrpc?: boolean;
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
  /** Carries unary calls. */
  readonly description: { readonly protocol: "grpc" | "grpc-web"; readonly httpVersion: string };
  /** The refusal of the greeting, which has no token; undefined where callers need none. */
  readonly refusal: ConnectError | undefined;
  /** Sets who is told when a connection is found lost. */
  onConnectionLost(listener: () => void): void;
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
  const bySockets = needsSockets(endpoint, runtime);
  const fetchRuntime = bySockets ? "node" : runtime;
  const needsNode = endpoint.unixPath !== undefined || isPortRefusedByFetch(endpoint.port) ||
    // Settings that Deno's and Bun's fetch cannot take; node:http and node:https take every setting.
    (fetchRuntime !== "node" && (tls.serverName !== undefined || tls.minVersion === "TLSv1.3")) ||
    (fetchRuntime === "deno" && tls.rejectUnauthorized === false);
  const carriers = new Map<CarrierChoice & string, Carrier>();
  const speaks: { grpcWeb: boolean | undefined; grpc: boolean | undefined } = {
    grpcWeb: protocol === "grpc" || needsNode ? false : protocol === "grpc-web" ? true : undefined,
    grpc: protocol === "grpc" ? true : protocol === "grpc-web" ? false : undefined,
  };

  function choose(kind: StreamKind, urgent = false): CarrierChoice {
    return chooseCarrier({ runtime: fetchRuntime, secure: endpoint.secure, kind, speaks, needsNode, urgent });
  }

  function carrierOf(choice: CarrierChoice & string): Carrier {
    let carrier = carriers.get(choice);
    if (carrier === undefined) {
      if (choice === "http2") throw new Error("native gRPC is asked for first, and loaded for that");
      const version = choice === "fetch" ? "any" : "http2";
      carrier = createFetchCarrier(endpoint, { ...shared, runtime: fetchRuntime, version });
      carriers.set(choice, carrier);
    }
    return carrier;
  }

  /** node:http2 takes as long to load as everything else together: only what needs it does. */
  async function greetNatively(signal: AbortSignal, question?: Question): Promise<Greeting> {
    const { createHttp2Carrier } = await abortable(import("./http2_carrier.ts"), signal);
    if (closed) throw new ConnectError("the channel is closed", Code.Unavailable);
    let carrier = carriers.get("http2");
    if (carrier === undefined) carriers.set("http2", carrier = createHttp2Carrier(endpoint, shared));
    return await greet(carrier, "grpc", signal, question);
  }

  let refusal: ConnectError | undefined;
  let closed = false;
  async function close(): Promise<void> {
    closed = true;
    await Promise.all(Array.from(carriers.values(), (carrier) => carrier.close()));
  }

  try {
    await learn();
  } catch (error) {
    await close();
    throw error;
  }

  /** Asks what the server speaks, as far as that is open; and reaches it in any case. */
  async function learn(): Promise<void> {
    if (needsNode && protocol === "grpc-web") {
      throw new ConnectError(
        `${
          describeTarget(endpoint)
        } needs node:http2, which speaks native gRPC: do not set protocol to "grpc-web"`,
        Code.FailedPrecondition,
      );
    }
    const native = speaks.grpc === false ? [] : ["grpc" as const];
    const web = speaks.grpcWeb === false ? [] : ["grpc-web" as const];
    // Deno's and Bun's sockets are faster under HTTP/2 than under HTTP/1.1.
    const prefersGrpc = options.prefersGrpc === true || fetchRuntime !== runtime;
    let first: Greeting | undefined;
    for (const asked of prefersGrpc ? [...native, ...web] : [...web, ...native]) {
      const greeting = asked === "grpc"
        ? await greetNatively(options.signal, options.question)
        : await greet(carrierOf("fetch"), "grpc-web", options.signal, options.question);
      speaks[asked === "grpc" ? "grpc" : "grpcWeb"] = greeting.speaks;
      if (greeting.speaks) {
        refusal = greeting.refusal;
        return;
      }
      first ??= greeting;
      if (greeting.unreachable) break;
    }
    throw first!.error;
  }

  let learningGrpc: Promise<void> | undefined;
  /** A server that speaks gRPC-Web may speak native gRPC, too; asked when a call would need it. */
  function learnGrpc(): Promise<void> {
    learningGrpc ??= (async () => {
      const greeting = await greetNatively(new AbortController().signal);
      // A server that is away says nothing of what it speaks: the next call asks again.
      if (greeting.away) throw greeting.error;
      speaks.grpc = greeting.speaks;
    })().finally(() => learningGrpc = undefined);
    return learningGrpc;
  }

  function open(request: CallRequest, listener: CallListener): Call {
    const choice = choose(request.kind, request.urgent);
    if (typeof choice !== "string") {
      return endedCall(
        new UnsupportedCallError(`${describeTarget(endpoint)}: ${choice.unsupported}`),
        listener,
      );
    }
    if (choice === "http2" && speaks.grpc === undefined) {
      return heldCall(learnGrpc().then(() => () => open(request, listener)), listener);
    }
    return carrierOf(choice).open(request, listener);
  }

  // The carrier of unary calls is known by now.
  const unaryChoice = choose("unary");
  const byRequest = { open, close };
  const unaryCarrier = typeof unaryChoice === "string" ? carrierOf(unaryChoice) : byRequest;

  return {
    open,
    refusal,
    onConnectionLost(listener) {
      onConnectionLost = listener;
    },
    unary: (request, message, signal) =>
      unaryCall(request.urgent === true ? byRequest : unaryCarrier, request, message, signal),
    close,
    get description() {
      return unaryChoice === "http2"
        ? { protocol: "grpc" as const, httpVersion: "HTTP/2" }
        : { protocol: "grpc-web" as const, httpVersion: endpoint.secure ? "HTTPS" : "HTTP/1.1" };
    },
  };
}
