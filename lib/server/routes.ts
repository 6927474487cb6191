import {
  type ConnectRouter,
  createMethodImplSpec,
  createServiceImplSpec,
  type Interceptor,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { createAsyncIterable, transformInvokeImplementation } from "@connectrpc/connect/protocol";

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
    methods.set(`/${method.parent.typeName}/${method.name}`, withInterceptors(spec, interceptors));
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

/** Wraps an implementation in interceptors, as Connect does for the services of an HTTP server. */
function withInterceptors(spec: MethodImplSpec, given: readonly Interceptor[]): MethodImplSpec {
  if (given.length === 0) return spec;
  const interceptors = [...given];
  switch (spec.kind) {
    case "unary":
      return {
        kind: spec.kind,
        method: spec.method,
        impl: (message, context) =>
          first(transformInvokeImplementation(spec, context, interceptors)(createAsyncIterable([message]))),
      };
    case "client_streaming":
      return {
        kind: spec.kind,
        method: spec.method,
        impl: (messages, context) =>
          first(transformInvokeImplementation(spec, context, interceptors)(messages)),
      };
    case "server_streaming":
      return {
        kind: spec.kind,
        method: spec.method,
        impl: (message, context) =>
          transformInvokeImplementation(spec, context, interceptors)(createAsyncIterable([message])),
      };
    case "bidi_streaming":
      return {
        kind: spec.kind,
        method: spec.method,
        impl: (messages, context) => transformInvokeImplementation(spec, context, interceptors)(messages),
      };
  }
}

async function first<T>(messages: AsyncIterable<T>): Promise<T> {
  let result: { readonly message: T } | undefined;
  // Reads to the end, because interceptors may still set trailers.
  for await (const message of messages) result ??= { message };
  return result!.message;
}
