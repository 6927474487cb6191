import { type Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import {
  ErrorDetailSchema,
  type FailRequest,
  type Payload,
  ProbeService,
} from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import type { Routes } from "../server/routes.ts";
import { untilAborted, wait } from "../runtime/wait.ts";
import type { Witness } from "./witness.ts";

/** A service that tests a connection; `probe.proto` describes each method. */
export function probeRoutes(witness: Witness): Routes {
  return (router) => {
    router.service(ProbeService, {
      echo: ({ data }) => ({ data }),
      async *download({ size, count, intervalMs }, { signal }) {
        const data = new Uint8Array(size);
        for (let index = 0; index < size; index++) data[index] = index;
        for (let index = 0; index < count; index++) {
          if (index > 0 && intervalMs > 0) await wait(intervalMs, signal);
          yield { data };
        }
      },
      async upload(payloads) {
        let bytes = 0, count = 0;
        for await (const { data } of payloads) {
          bytes += data.length;
          count++;
        }
        return { bytes: BigInt(bytes), count };
      },
      async *exchange(payloads) {
        for await (const { data } of payloads) yield { data };
      },
      async *fail(request, context) {
        addMetadata(context);
        for (let index = 0; index < request.after; index++) yield { data: Uint8Array.of(index) };
        await fail(request, context);
      },
      async failUnary(request, context) {
        addMetadata(context);
        await fail(request, context);
        return {};
      },
      inspect: (_request, context) => ({
        path: context.protocolName,
        metadata: valuesOf(context.requestHeader),
        timeoutMs: BigInt(Math.round(context.timeoutMs() ?? -1)),
      }),
      async *hang(_request, { signal }) {
        yield {};
        await untilAborted(signal);
      },
      hangUnary: async (_request, { signal }): Promise<Payload> => await untilAborted(signal),
      witness: ({ token }) => witness.recall(token),
    });
  };
}

function addMetadata({ responseHeader, responseTrailer }: HandlerContext): void {
  responseHeader.append("x-head", "h1");
  responseHeader.append("x-head", "h2");
  responseHeader.set("x-head-bin", "AAECAw");
  responseTrailer.set("x-trail", "t1");
  responseTrailer.set("x-trail-bin", "CQgH");
}

async function fail(request: FailRequest, { signal }: HandlerContext): Promise<void> {
  const { code, message, delayMs, detail } = request;
  if (delayMs > 0) await wait(delayMs, signal);
  if (code === 0) return;
  const details = detail === "" ? [] : [{ desc: ErrorDetailSchema, value: { text: detail } }];
  throw new ConnectError(message, code as Code, undefined, details);
}

function valuesOf(header: Headers): Record<string, { values: string[] }> {
  const values: Record<string, { values: string[] }> = {};
  for (const [name, list] of Metadata.from(header).lists()) {
    values[name] = {
      values: name.endsWith("-bin") ? list.map((value) => value.replace(/=+$/, "")) : [...list],
    };
  }
  return values;
}
