/**
 * The traces that a call by fetch leaves at the server. The runtime writes the frames: what counts is that the server is told once
 * of each call that was cancelled, by RST_STREAM on HTTP/2 and by the end of the connection on HTTP/1.1.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { Code, createClient } from "@connectrpc/connect";
import { dialDirect } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { makeCertificates } from "../certificates.ts";
import { runtime, test } from "../harness.ts";
import { Pushed, rejection } from "../transport/suite.ts";
import { until } from "./lanes.ts";

/** A request that the server is done with. */
interface Closed {
  readonly method: string;
  readonly httpVersion: string;
  /** True if the client broke it off. */
  readonly broken: boolean;
  /** The code of the client's RST_STREAM; 0 without one, undefined on HTTP/1.1. */
  readonly reset: number | undefined;
}

/** A body of gRPC-Web: an empty message, if any, and the trailers. */
function body(status: number, messages: number): Uint8Array {
  const trailers = new TextEncoder().encode(`grpc-status: ${status}\r\n`);
  const bytes = new Uint8Array(messages * 5 + 5 + trailers.length);
  bytes.set([0x80, 0, 0, 0, trailers.length], messages * 5);
  bytes.set(trailers, messages * 5 + 5);
  return bytes;
}

test("fetch: a server hears once of a call that was cancelled, and never of one that has ended", async () => {
  const certificates = await makeCertificates();
  const closed: Closed[] = [];
  const opened: string[] = [];
  const server = createSecureServer(
    { cert: certificates.cert, key: certificates.key, allowHTTP1: true },
    (request: Http2ServerRequest, response: Http2ServerResponse) => {
      const method = request.url.split("/").at(-1)!;
      opened.push(method);
      let answered = false;
      response.on("close", () => {
        const stream = request.httpVersion === "2.0" ? request.stream : undefined;
        closed.push({ method, httpVersion: request.httpVersion, broken: !answered, reset: stream?.rstCode });
      });
      request.on("error", () => {});
      response.on("error", () => {});
      response.writeHead(200, { "content-type": "application/grpc-web+proto" });
      const answer = (status: number, messages: number) => {
        answered = true;
        response.end(body(status, messages));
      };
      request.resume();
      if (method === "Echo" || method === "Download" || method === "Upload") {
        request.on("end", () => answer(0, method === "Download" ? 3 : 1));
      } else if (!["HangUnary", "Hang", "Exchange"].includes(method)) {
        answer(Code.Unimplemented, 0);
      } else {
        response.write(Uint8Array.of(0, 0, 0, 0, 0));
      }
    },
  );
  server.on("sessionError", () => {}).on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  try {
    await using channel = await dialDirect(`127.0.0.1:${port}`, {
      protocol: "grpc-web",
      tls: { ca: certificates.ca },
    });
    const probe = createClient(ProbeService, channel);
    const of = (method: string) => closed.filter((request) => request.method === method);
    const late = new AbortController();
    const read = async (messages: AsyncIterable<unknown>) => {
      for await (const _ of messages);
    };
    await probe.echo({}, { signal: late.signal, timeoutMs: 60_000 });
    await read(probe.download({}, { signal: late.signal }));
    await probe.upload(
      (async function* () {
        yield {};
      })(),
      { signal: late.signal },
    );
    late.abort();
    await probe.echo({});
    await until(() => of("Echo").length === 2 && of("Download").length === 1 && of("Upload").length === 1);
    for (const { method, broken, reset } of closed) {
      assert.ok(!broken, method);
      assert.ok(reset === undefined || reset === 0, `${method}: RST_STREAM ${reset}`);
    }

    const calls: [method: string, call: (signal: AbortSignal) => Promise<unknown>][] = [
      ["HangUnary", (signal) => probe.hangUnary({}, { signal })],
      ["Hang", (signal) => read(probe.hang({}, { signal }))],
      ["Exchange", (signal) => read(probe.exchange(new Pushed<{ data: Uint8Array }>(), { signal }))],
    ];
    for (const [method, call] of calls) {
      const controller = new AbortController();
      const ended = rejection(() => call(controller.signal));
      await until(() => opened.includes(method));
      controller.abort();
      controller.abort();
      assert.equal((await ended).code, Code.Canceled, method);
      await until(() => of(method).length > 0);
      await probe.echo({});
      const [request, more] = of(method);
      assert.equal(more, undefined, method);
      assert.ok(request!.broken, method);
      if (request!.httpVersion === "2.0") assert.equal(request!.reset, 8, `${method}: CANCEL`);
      console.log(`${runtime}: ${method} by HTTP/${request!.httpVersion}, reset ${request!.reset}`);
    }
  } finally {
    server.close();
    await certificates.remove();
  }
}, { timeoutMs: 60_000 });
