import {
  Code,
  ConnectError,
  type Interceptor,
  type StreamRequest,
  type UnaryRequest,
} from "@connectrpc/connect";
import type { Address } from "../core/net/address.ts";
import type { DialPhase } from "../core/dial/timeline.ts";
import { messageOf } from "../core/error_message.ts";
import { STREAM_OVER } from "../rpc/stream_over.ts";
import { VERSION } from "../runtime/version.ts";

/*
 * OpenTelemetry, if the program has registered it: found through the global of `@opentelemetry/api` and of runtimes,
 * never imported. The parts in use are declared here. Deno's own tracing registers no propagator, and some programs no
 * context manager.
 */

interface Context {
  getValue(key: symbol): unknown;
  setValue(key: symbol, value: unknown): Context;
  deleteValue(key: symbol): Context;
}

interface Span {
  spanContext(): { readonly traceId: string; readonly spanId: string; readonly traceFlags: number };
  setAttribute(name: string, value: string | number): unknown;
  setStatus(status: { readonly code: number; readonly message?: string }): unknown;
  addEvent(name: string, attributes?: Record<string, string | number | boolean>): unknown;
  recordException(error: Error): void;
  end(): void;
}

interface Tracer {
  startSpan(
    name: string,
    options: { readonly kind: number; readonly attributes: Readonly<Record<string, string | number>> },
    context: Context,
  ): Span;
}

interface Api {
  readonly trace?: { getTracer(name: string, version: string): Tracer };
  readonly context?: {
    active(): Context;
    with<T>(context: Context, run: () => T): T;
  };
  readonly propagation?: {
    inject(
      context: Context,
      carrier: Headers,
      setter: { set(carrier: Headers, name: string, value: string): void },
    ): void;
  };
}

const API = Symbol.for("opentelemetry.js.api.1");
/** The key under which the API keeps a context's span. */
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");

const INTERNAL = 0, CLIENT = 2;
const ERROR = 2;

/** Spans for one dial. */
export interface DialTrace {
  /** Runs a step in a span of its own. */
  phase<T>(name: DialPhase, run: () => Promise<T>): Promise<T>;
  /** Notes something beside the steps. */
  remark(phase: DialPhase, detail: string): void;
  /** Ends the dial, with the kind of channel or with its error. */
  end(outcome: { readonly kind: string } | { readonly error: unknown }): void;
}

/** Spans for a channel. */
export interface Telemetry {
  /** Begins a dial; `again` if it replaces a lost connection. */
  startDial(again: boolean): DialTrace;
  /** Wraps every call in a span, and sends its context along. */
  readonly interceptor: Interceptor;
}

/**
 * Finds the OpenTelemetry that the program has registered; undefined when there is none, and calls then cost nothing
 * more. Spans are named and described as the conventions for RPC have it.
 *
 * @param address What is dialed.
 */
export function findTelemetry(address: Address): Telemetry | undefined {
  const found = (globalThis as Record<symbol, unknown>)[API] as Api | undefined;
  if (typeof found?.trace?.getTracer !== "function") return undefined;
  const api = found;
  const tracer = found.trace.getTracer("@viam-dial/dial", VERSION);
  const server: Record<string, string | number> = {
    "server.address": address.unixPath ?? address.hostname,
    ...address.port === undefined ? {} : { "server.port": address.port },
  };
  const activeContext = () => api.context?.active() ?? contextOf(new Map());

  function within<T>(context: Context, run: () => Promise<T>): Promise<T> {
    return api.context === undefined ? run() : api.context.with(context, run);
  }

  /** Sends the context of a span to the server (W3C Trace Context), unless the program has a propagator of its own. */
  function inject(context: Context, span: Span, header: Headers): void {
    if (api.propagation !== undefined) {
      api.propagation.inject(context, header, { set: (carrier, name, value) => carrier.set(name, value) });
      return;
    }
    const { traceId, spanId, traceFlags } = span.spanContext();
    header.set("traceparent", `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`);
  }

  function startCall(request: UnaryRequest | StreamRequest): TracedCall {
    const { typeName } = request.service;
    const { name } = request.method;
    const attributes = { "rpc.system": "grpc", "rpc.service": typeName, "rpc.method": name, ...server };
    const before = activeContext();
    const span = tracer.startSpan(`${typeName}/${name}`, { kind: CLIENT, attributes }, before);
    const context = before.setValue(SPAN, span);
    inject(context, span, request.header);
    let ended = false;
    const end = (error: unknown) => {
      if (ended) return;
      ended = true;
      request.signal.removeEventListener("abort", abandoned);
      const failure = error === undefined ? undefined : ConnectError.from(error, Code.Unknown);
      span.setAttribute("rpc.grpc.status_code", failure?.code ?? 0);
      if (failure !== undefined) {
        span.setAttribute("error.type", Code[failure.code]);
        span.setStatus({ code: ERROR, message: failure.rawMessage });
      }
      span.end();
    };
    // A stream that is not read to its end is over when its signal aborts.
    const abandoned = () =>
      queueMicrotask(() =>
        end(request.signal.reason ?? new ConnectError("the call was given up", Code.Canceled))
      );
    request.signal.addEventListener("abort", abandoned, { once: true });
    return { within: (run) => within(context, run), end };
  }

  return {
    startDial(again) {
      const before = activeContext();
      const attributes = { ...server, "viam.dial.reconnect": String(again) };
      const span = tracer.startSpan("viam.dial", { kind: INTERNAL, attributes }, before);
      const context = before.setValue(SPAN, span);
      return {
        async phase(name, run) {
          const step = tracer.startSpan(`viam.dial.${name}`, { kind: INTERNAL, attributes: server }, context);
          try {
            return await within(context.setValue(SPAN, step), run);
          } catch (error) {
            fail(step, error);
            throw error;
          } finally {
            step.end();
          }
        },
        remark: (phase, detail) => void span.addEvent(`viam.dial.${phase}`, { detail }),
        end(outcome) {
          if ("kind" in outcome) span.setAttribute("viam.dial.kind", outcome.kind);
          else fail(span, outcome.error);
          span.end();
        },
      };
    },
    interceptor: (next) => async (request) => {
      const call = startCall(request);
      if (request.stream) STREAM_OVER.set(request.signal, call.end);
      try {
        const response = await call.within(() => next(request));
        if (!response.stream) {
          call.end(undefined);
          return response;
        }
        return { ...response, message: watch(response.message, call.end) };
      } catch (error) {
        call.end(error);
        throw error;
      }
    },
  };
}

interface TracedCall {
  within<T>(run: () => Promise<T>): Promise<T>;
  /** Ends the span once, with the error that ended the call, if any. */
  end(error: unknown): void;
}

async function* watch<T>(messages: AsyncIterable<T>, end: (error: unknown) => void): AsyncGenerator<T> {
  try {
    for await (const message of messages) yield message;
    end(undefined);
  } catch (error) {
    end(error);
    throw error;
  } finally {
    end(new ConnectError("the reader left the stream", Code.Canceled));
  }
}

function fail(span: Span, error: unknown): void {
  const message = messageOf(error);
  if (error instanceof Error) span.recordException(error);
  span.setAttribute("error.type", error instanceof Error ? error.name : "Error");
  span.setStatus({ code: ERROR, message });
}

/** A context for programs without a manager of contexts. */
function contextOf(values: ReadonlyMap<symbol, unknown>): Context {
  return {
    getValue: (key) => values.get(key),
    setValue: (key, value) => contextOf(new Map([...values, [key, value]])),
    deleteValue: (key) => contextOf(new Map([...values].filter(([kept]) => kept !== key))),
  };
}
