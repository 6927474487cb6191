import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createFetchCarrier } from "../../lib/direct/fetch_carrier.ts";
import { createHttp2Carrier } from "../../lib/direct/http2_carrier.ts";
import { createCarrierTransport } from "../../lib/rpc/transport.ts";
import { RUNTIME } from "../../lib/runtime/runtime.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { type Answer, type Fields, startScriptedServer } from "./scripted_server.ts";

type Protocol = "grpc" | "grpc-web";

interface Outcome {
  /** Undefined for OK. */
  readonly code?: Code;
  readonly text?: string | RegExp;
  /** An entry of the metadata, with the headers', of the error, or of the trailers. */
  readonly entry?: readonly [name: string, value: string];
}

const GRPC: Fields = [["content-type", "application/grpc"]];
const WEB: Fields = [["content-type", "application/grpc-web+proto"]];
const MESSAGE = new Uint8Array(5);
const TWO_HUNDRED: Fields = Array.from({ length: 200 }, (_, index) => [`x-${index}`, "v"]);
const STOPPED = { code: Code.Unavailable, text: "the server stopped before the call had ended" };
const NO_STATUS = { code: Code.Internal, text: "the server sent no status" };
const GONE = { code: Code.NotFound, text: "gone" };

const FULL = { code: Code.ResourceExhausted, text: "full" };
const STATUS_503 = { code: Code.Unavailable, text: "HTTP status 503 instead of a gRPC answer" };
const RAW = { code: Code.NotFound, text: "größe\n😀" };
/** UTF-8 as it is in a header. */
const RAW_TEXT = Buffer.from("größe%0A😀").toString("latin1");

function withFlags(flags: number): Uint8Array {
  return Uint8Array.of(flags, 0, 0, 0, 0);
}

function trailersFrame(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const frame = new Uint8Array(5 + bytes.length);
  frame[0] = 0x80;
  new DataView(frame.buffer).setUint32(1, bytes.length);
  frame.set(bytes, 5);
  return frame;
}

function bytesOf(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

const long = (bytes: number) => ({ code: Code.NotFound, text: "x".repeat(bytes) });

const rows: readonly (readonly [Protocol, title: string, Answer, Outcome])[] = [
  ["grpc", "no content type, as net/http leaves it when grpc-go stops", { headers: [] }, STOPPED],
  ["grpc", "a status that was announced and did not come", {
    headers: [...GRPC, ["trailer", "Grpc-Status"], ["trailer", "Grpc-Message"]],
    body: MESSAGE,
  }, STOPPED],
  ["grpc", "neither trailers nor a word of any", { headers: GRPC, body: MESSAGE }, NO_STATUS],
  [
    "grpc",
    "a text without a status",
    { headers: GRPC, body: MESSAGE, trailers: [["grpc-message", "no"]] },
    NO_STATUS,
  ],
  ["grpc", "spaces around a text in trailers", {
    headers: GRPC,
    trailers: [["grpc-status", "5"], ["grpc-message", "  gone "], ["x-meta", " v "]],
  }, { code: Code.NotFound, text: "  gone ", entry: ["x-meta", "v"] }],
  ["grpc", "spaces around a text in headers", {
    headers: [...GRPC, ["x-meta", " v "], ["grpc-status", "5"], ["grpc-message", " gone "]],
  }, { code: Code.NotFound, text: " gone ", entry: ["x-meta", "v"] }],
  ["grpc", "an end that came twice", {
    headers: GRPC,
    trailers: [["grpc-status", "5"], ["grpc-status", "5"], ["grpc-message", "gone"], [
      "grpc-message",
      "gone",
    ]],
  }, GONE],
  ["grpc", "OK twice in trailers", {
    headers: GRPC,
    body: MESSAGE,
    trailers: [["grpc-status", "0"], ["grpc-status", "0"]],
  }, {}],
  ["grpc", "two ends that differ", {
    headers: GRPC,
    body: MESSAGE,
    trailers: [["grpc-status", "0"], ["grpc-status", "5"]],
  }, { code: Code.Internal, text: 'the server sent "0, 5" as grpc-status' }],
  ["grpc", "OK in headers and in trailers", {
    headers: [...GRPC, ["grpc-status", "0"]],
    body: MESSAGE,
    trailers: [["grpc-status", "0"]],
  }, {}],
  ["grpc", "200 entries in headers and in trailers", {
    headers: [...GRPC, ...TWO_HUNDRED],
    body: MESSAGE,
    trailers: [["grpc-status", "0"], ...TWO_HUNDRED],
  }, { entry: ["x-199", "v, v"] }],
  ["grpc", "a text of 60,000 bytes", {
    headers: GRPC,
    trailers: [["grpc-status", "5"], ["grpc-message", "x".repeat(60_000)]],
  }, long(60_000)],
  ["grpc", "a content-encoding that nobody asked for", {
    headers: [...GRPC, ["content-encoding", "gzip"]],
    body: gzipSync(MESSAGE),
    trailers: [["grpc-status", "0"]],
  }, { code: Code.Internal, text: 'the server compresses with "gzip" unasked' }],
  ["grpc", "a status that follows the status of HTTP", {
    status: 503,
    headers: GRPC,
    trailers: [["grpc-status", "8"], ["grpc-message", "full"]],
  }, FULL],
  [
    "grpc",
    "an HTTP status that no status follows",
    { status: 503, headers: GRPC, body: MESSAGE },
    STATUS_503,
  ],
  ["grpc", "OK after an HTTP status", {
    status: 503,
    headers: GRPC,
    body: MESSAGE,
    trailers: [["grpc-status", "0"]],
  }, STATUS_503],
  ["grpc", "a text that is not encoded", {
    headers: GRPC,
    trailers: [["grpc-status", "5"], ["grpc-message", RAW_TEXT]],
  }, RAW],
  ...[2, 0x80, 0x81].map((flags) =>
    ["grpc", `a frame with the flags ${flags}`, {
      headers: GRPC,
      body: withFlags(flags),
      trailers: [["grpc-status", "0"]],
    }, { code: Code.Internal, text: `the server sent a frame with unknown flags: ${flags}` }] as const
  ),
  ["grpc", "a grpc-encoding that came twice", {
    headers: [...GRPC, ["grpc-encoding", "identity"], ["grpc-encoding", "identity"]],
    body: MESSAGE,
    trailers: [["grpc-status", "0"]],
  }, {}],
  ["grpc", "an empty grpc-encoding", {
    headers: [...GRPC, ["grpc-encoding", ""]],
    body: MESSAGE,
    trailers: [["grpc-status", "0"]],
  }, {}],
  ["grpc", "a reset without an error", { reset: 0 }, {
    code: Code.Internal,
    text: "the server reset the call (HTTP/2 error 0)",
  }],
  ["grpc-web", "no content type", { headers: [] }, STOPPED],
  ["grpc-web", "a status that follows the status of HTTP", {
    status: 503,
    headers: WEB,
    body: trailersFrame("grpc-status: 8\r\ngrpc-message: full\r\n"),
  }, FULL],
  ["grpc-web", "an HTTP status that no status follows", { status: 503, headers: WEB }, STATUS_503],
  ["grpc-web", "an HTTP status and the page of a proxy", {
    status: 503,
    headers: WEB,
    body: new TextEncoder().encode("<html>no server</html>"),
  }, STATUS_503],
  ["grpc-web", "a text that is not encoded", {
    headers: WEB,
    body: trailersFrame("grpc-status: 5\r\ngrpc-message: größe\n😀\r\n"),
  }, RAW],
  ...[101, 999].map((status) =>
    ["grpc-web", `the HTTP status ${status}`, { status, headers: [["content-type", "text/html"]] }, {
      code: RUNTIME === "bun" && status === 101 ? Code.Unavailable : Code.Unknown,
      text: new RegExp(RUNTIME === "bun" && status === 101 ? "Upgrade" : `^HTTP status ${status} `),
    }] as const
  ),
  ["grpc-web", "a content-encoding with the name of a property", {
    headers: [...WEB, ["content-encoding", "constructor"]],
    body: bytesOf(MESSAGE, trailersFrame("grpc-status: 0\r\n")),
  }, {}],
  ["grpc-web", "a text in headers that is not encoded", {
    headers: [...WEB, ["grpc-status", "5"], ["grpc-message", RAW_TEXT]],
  }, RAW],
  ["grpc-web", "a frame with the flags 2", {
    headers: WEB,
    body: bytesOf(withFlags(2), trailersFrame("grpc-status: 0\r\n")),
  }, { code: Code.Internal, text: "the server sent a frame with unknown flags: 2" }],
  [
    "grpc-web",
    "an empty frame of trailers",
    { headers: WEB, body: bytesOf(MESSAGE, trailersFrame("")) },
    STOPPED,
  ],
  ["grpc-web", "no trailers at all", { headers: WEB, body: MESSAGE }, NO_STATUS],
  ["grpc-web", "an error in headers and an empty frame of trailers", {
    headers: [...WEB, ["grpc-status", "5"], ["grpc-message", "gone"], ["x-meta", "v"]],
    body: trailersFrame(""),
  }, { ...GONE, entry: ["x-meta", "v"] }],
  ["grpc-web", "an error in headers and no body", {
    headers: [...WEB, ["grpc-status", "5"], ["grpc-message", "gone"]],
  }, GONE],
  ["grpc-web", "spaces around a text in trailers", {
    headers: WEB,
    body: trailersFrame("grpc-status: 5\r\ngrpc-message:   gone \r\nx-meta:  v \r\n"),
  }, { code: Code.NotFound, text: "  gone ", entry: ["x-meta", "v"] }],
  ["grpc-web", "an end that came twice", {
    headers: WEB,
    body: trailersFrame("grpc-status: 5\r\ngrpc-status: 5\r\ngrpc-message: gone\r\ngrpc-message: gone\r\n"),
  }, GONE],
  ["grpc-web", "OK in headers and in trailers", {
    headers: [...WEB, ["grpc-status", "0"]],
    body: bytesOf(MESSAGE, trailersFrame("grpc-status: 0\r\n")),
  }, {}],
  ["grpc-web", "200 entries in headers", {
    headers: [...WEB, ...TWO_HUNDRED],
    body: bytesOf(MESSAGE, trailersFrame("grpc-status: 0\r\n")),
  }, {}],
  ["grpc-web", "a text of 100,000 bytes in headers", {
    headers: [...WEB, ["grpc-status", "5"], ["grpc-message", "x".repeat(100_000)]],
  }, long(100_000)],
  ["grpc-web", "a text of 100,000 bytes in trailers", {
    headers: WEB,
    body: trailersFrame(`grpc-status: 5\r\ngrpc-message: ${"x".repeat(100_000)}\r\n`),
  }, long(100_000)],
  ["grpc-web", "a text without a status", {
    headers: WEB,
    body: bytesOf(MESSAGE, trailersFrame("grpc-message: no\r\n")),
  }, NO_STATUS],
  ...["gzip", "X-GZIP"].map((encoding) =>
    ["grpc-web", `the content-encoding ${encoding} of a proxy`, {
      headers: [...WEB, ["content-encoding", encoding]],
      body: gzipSync(bytesOf(MESSAGE, trailersFrame("grpc-status: 0\r\n"))),
    }, {}] as const
  ),
  ["grpc-web", "a content-encoding that its body does not have", {
    headers: [...WEB, ["content-encoding", "gzip"]],
    body: bytesOf(MESSAGE, trailersFrame("grpc-status: 0\r\n")),
  }, { code: Code.Unavailable, text: /^the answer cannot be decompressed: \S+ \(.+\)$/ }],
  ["grpc-web", "a content type that came twice", {
    headers: [...WEB, ...WEB],
    body: bytesOf(MESSAGE, trailersFrame("grpc-status: 0\r\n")),
  }, {}],
];

test("an answer of any shape ends its call with the status in it, and no other call", async () => {
  let answer: Answer | undefined;
  await using server = await startScriptedServer(() => answer);
  const endpoint = { secure: false, hostname: "127.0.0.1", port: server.port };
  const options = { runtime: RUNTIME, maxMessageBytes: 1_000_000, keepAliveMs: 0 };
  const carriers = {
    "grpc": createHttp2Carrier(endpoint, options),
    "grpc-web": createFetchCarrier(endpoint, { ...options, runtime: RUNTIME === "bun" ? "bun" : "node" }),
  };
  for (const [protocol, title, scripted, expected] of rows) {
    answer = scripted;
    const client = createClient(
      ProbeService,
      createCarrierTransport({
        carrier: () => carriers[protocol],
        baseUrl: "http://127.0.0.1",
        maxBufferedBytes: 1_000_000,
      }),
    );
    for (const kind of ["unary", "server streaming"]) {
      const metadata = new Headers();
      const note = (more: Headers) => more.forEach((value, name) => metadata.append(name, value));
      const options = { timeoutMs: 5_000, onHeader: note, onTrailer: note };
      const error =
        await (kind === "unary" ? client.echo({}, options) : readAll(client.download({}, options)))
          .then(() => undefined, ConnectError.from);
      error?.metadata.forEach((value, name) => metadata.set(name, value));
      const what = `${protocol}, ${kind}: ${title}`;
      assert.equal(error?.code, expected.code, `${what}: ${error}`);
      if (expected.text instanceof RegExp) assert.match(error!.rawMessage, expected.text, what);
      else assert.equal(error?.rawMessage, expected.text, what);
      if (expected.entry !== undefined) {
        assert.equal(metadata.get(expected.entry[0]), expected.entry[1], what);
      }
    }
    if (protocol === "grpc") assert.equal(server.connections, 1, `${title}: it cost the connection`);
  }
  await Promise.all([carriers.grpc.close(), carriers["grpc-web"].close()]);
});

test("an answer that is there counts whole, whatever comes after it, and however late it is read", async () => {
  const count = 200;
  const frames = bytesOf(...Array.from({ length: count }, () => MESSAGE));
  const whole = { headers: GRPC, body: frames, trailers: [["grpc-status", "0"]] } as const;
  let answer: Answer | undefined;
  await using server = await startScriptedServer(() => answer, { early: true });
  for (const after of [{ reset: 0 }, { reset: 2 }, { reset: 8 }, { ends: true }]) {
    answer = { ...whole, ...after };
    const gone = Promise.withResolvers<void>();
    const carrier = createHttp2Carrier({ secure: false, hostname: "127.0.0.1", port: server.port }, {
      runtime: RUNTIME,
      maxMessageBytes: 1_000,
      keepAliveMs: 0,
      onConnectionLost: gone.resolve,
    });
    const client = createClient(
      ProbeService,
      createCarrierTransport({ carrier: () => carrier, baseUrl: "http://x", maxBufferedBytes: 1_000_000 }),
    );
    const left = Promise.withResolvers<void>();
    const stream = client.exchange(unfinished(left.promise))[Symbol.asyncIterator]();
    await stream.next();
    // The reader is late: what comes after the answer is here before it has read on.
    if (after.ends) await gone.promise;
    else for await (const _ of client.download({}));
    let received = 1;
    while ((await stream.next()).done !== true) received++;
    assert.equal(received, count, JSON.stringify(after));
    left.resolve();
    await carrier.close();
  }
});

async function* unfinished(left: Promise<void>) {
  yield {};
  await left;
}

async function readAll(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages);
}
