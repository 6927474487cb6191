import type { Message } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createMethodImplSpec,
  createServiceImplSpec,
  type HandlerContext,
  type Interceptor,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { createAsyncIterable, transformInvokeImplementation } from "@connectrpc/connect/protocol";
import { answersOne, sendsOne } from "../core/grpc/stream_kind.ts";

/** Registers services and methods, as for any Connect server. */
export type Routes = (router: ConnectRouter) => void;

/** Method implementations by path, `/package.Service/Method`. */
export type Methods = ReadonlyMap<string, MethodImplSpec>;

/**
 * Collects what routes register, by path, so that the same implementations serve HTTP and the data channel. A later
 * registration replaces an earlier one; methods that a service leaves out do not. Of the options of a service its
 * interceptors apply, on every path; the others have no meaning on a data channel and are ignored.
 */
export function recordRoutes(...routes: readonly Routes[]): Methods {
  const methods = new Map<string, MethodImplSpec>();
  const add = (spec: MethodImplSpec, interceptors: readonly Interceptor[] = []) => {
    const { method } = spec;
    const path = `/${method.parent.typeName}/${method.name}`;
    methods.set(
      path,
      interceptors.length === 0
        ? spec
        : replaceCalls(spec, (context) => transformInvokeImplementation(spec, context, [...interceptors])),
    );
  };
  const router: ConnectRouter = {
    handlers: [],
    service(service, implementation, options) {
      const spec = createServiceImplSpec(service, implementation);
      const given = implementation as Record<string, unknown>;
      for (const method of service.methods) {
        const isGiven = typeof given[method.localName] === "function";
        const path = `/${service.typeName}/${method.name}`;
        if (isGiven || !methods.has(path)) add(spec.methods[method.localName]!, options?.interceptors);
      }
      return router;
    },
    rpc(method, implementation, options) {
      add(createMethodImplSpec(method, implementation), options?.interceptors);
      return router;
    },
  };
  for (const register of routes) register(router);
  return methods;
}

/** Takes and gives the messages of a call, whatever the kind of its method. */
type StreamTransform = (messages: AsyncIterable<Message>) => AsyncIterable<Message>;

/**
 * Replaces an implementation call by call.
 *
 * @param replace Returns what handles a call; undefined leaves the call to the implementation.
 */
export function replaceCalls(
  spec: MethodImplSpec,
  replace: (context: HandlerContext) => StreamTransform | undefined,
): MethodImplSpec {
  const { kind, method } = spec;
  const original = spec.impl as (input: unknown, context: HandlerContext) => unknown;
  const impl = (input: unknown, context: HandlerContext) => {
    const handle = replace(context);
    if (handle === undefined) return original(input, context);
    const output = handle(
      sendsOne(kind) ? createAsyncIterable([input as Message]) : input as AsyncIterable<Message>,
    );
    return answersOne(kind) ? first(output) : output;
  };
  return { kind, method, impl } as MethodImplSpec;
}

async function first<T>(messages: AsyncIterable<T>): Promise<T> {
  let result: { readonly message: T } | undefined;
  // Reads to the end, because interceptors may still set trailers.
  for await (const message of messages) result ??= { message };
  return result!.message;
}
