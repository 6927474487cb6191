/** The service that the suite expects of a server under test. */

import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { wait } from "../../lib/runtime/wait.ts";
import { appendTo, fromWireError, toHeaders } from "./convert.ts";
import {
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload,
  type ConformancePayload_RequestInfo,
  ConformancePayload_RequestInfoSchema,
  ConformancePayloadSchema,
  ConformanceService,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
} from "./protocol.ts";

/** Registers the service. */
export function conformanceRoutes(router: ConnectRouter): void {
  router.service(ConformanceService, {
    unary: async (request, context) => ({
      payload: await answer(
        request.responseDefinition,
        packed(UnaryRequestSchema, [request]),
        context,
        context.timeoutMs(),
      ),
    }),

    idempotentUnary: async (request, context) => ({
      payload: await answer(
        request.responseDefinition,
        packed(IdempotentUnaryRequestSchema, [request]),
        context,
        context.timeoutMs(),
      ),
    }),

    async clientStream(requests, context) {
      // Measured at once, since it is the time left.
      const timeoutMs = context.timeoutMs();
      const received = [];
      for await (const request of requests) received.push(request);
      return {
        payload: await answer(
          received[0]?.responseDefinition,
          packed(ClientStreamRequestSchema, received),
          context,
          timeoutMs,
        ),
      };
    },

    async *serverStream(request, context) {
      const info = infoOf(packed(ServerStreamRequestSchema, [request]), context, context.timeoutMs());
      const { responseDefinition: definition } = request;
      if (definition === undefined) return;
      appendTo(context.responseHeader, definition.responseHeaders);
      appendTo(context.responseTrailer, definition.responseTrailers);
      let first = true;
      for (const data of definition.responseData) {
        await wait(definition.responseDelayMs, context.signal);
        yield { payload: payloadOf(data, first ? info : undefined) };
        first = false;
      }
      if (definition.error !== undefined) throw fromWireError(definition.error, first ? [pack(info)] : []);
    },

    async *bidiStream(requests, context) {
      const timeoutMs = context.timeoutMs();
      const received = [];
      let first = true;
      let sent = 0;
      for await (const request of requests) {
        received.push(request);
        const { fullDuplex, responseDefinition } = received[0]!;
        if (received.length === 1) {
          appendTo(context.responseHeader, responseDefinition?.responseHeaders ?? []);
          appendTo(context.responseTrailer, responseDefinition?.responseTrailers ?? []);
        }
        if (!fullDuplex) continue;
        const data = responseDefinition?.responseData[sent];
        if (data === undefined) break;
        await wait(responseDefinition!.responseDelayMs, context.signal);
        const echoed = packed(BidiStreamRequestSchema, [request]);
        const info = first
          ? infoOf(echoed, context, timeoutMs)
          : create(ConformancePayload_RequestInfoSchema, { requests: echoed });
        yield { payload: payloadOf(data, info) };
        first = false;
        sent++;
      }
      const definition = received[0]?.responseDefinition;
      if (definition === undefined) return;
      const info = infoOf(packed(BidiStreamRequestSchema, received), context, timeoutMs);
      for (const data of definition.responseData.slice(sent)) {
        await wait(definition.responseDelayMs, context.signal);
        yield { payload: payloadOf(data, first ? info : undefined) };
        first = false;
      }
      if (definition.error !== undefined) throw fromWireError(definition.error, first ? [pack(info)] : []);
    },
  });
}

async function answer(
  definition: UnaryResponseDefinition | undefined,
  requests: Any[],
  context: HandlerContext,
  timeoutMs: number | undefined,
): Promise<ConformancePayload> {
  const info = infoOf(requests, context, timeoutMs);
  if (definition === undefined) return payloadOf(new Uint8Array(0), info);
  appendTo(context.responseHeader, definition.responseHeaders);
  appendTo(context.responseTrailer, definition.responseTrailers);
  await wait(definition.responseDelayMs, context.signal);
  const { response } = definition;
  if (response.case === "error") throw fromWireError(response.value, [pack(info)]);
  return payloadOf(response.case === "responseData" ? response.value : new Uint8Array(0), info);
}

function packed<D extends DescMessage>(schema: D, requests: readonly MessageShape<D>[]): Any[] {
  return requests.map((request) => anyPack(schema, request));
}

function pack(info: ConformancePayload_RequestInfo): Any {
  return anyPack(ConformancePayload_RequestInfoSchema, info);
}

function infoOf(
  requests: Any[],
  context: HandlerContext,
  timeoutMs: number | undefined,
): ConformancePayload_RequestInfo {
  return create(ConformancePayload_RequestInfoSchema, {
    requests,
    requestHeaders: toHeaders(context.requestHeader),
    ...(timeoutMs === undefined ? {} : { timeoutMs: BigInt(Math.round(timeoutMs)) }),
  });
}

function payloadOf(
  data: Uint8Array,
  requestInfo: ConformancePayload_RequestInfo | undefined,
): ConformancePayload {
  return create(ConformancePayloadSchema, {
    data,
    ...(requestInfo === undefined ? {} : { requestInfo }),
  });
}
