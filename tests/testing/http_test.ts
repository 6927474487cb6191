import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { startMachine } from "../../lib/testing/mod.ts";
import { EchoRequestSchema, EchoService } from "../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";
import { RobotService } from "../../proto/gen/viam/robot/v1/robot_pb.ts";
import { PayloadSchema, ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { callGrpc, callGrpcWeb, exchangeBytes, frame, pathOf, withSession } from "./wire.ts";

const { echo, echoMultiple, echoBiDi } = EchoService.method;
const probe = ProbeService.method;

test("a machine answers gRPC-Web over HTTP/1.1 and native gRPC over HTTP/2 on one port", async () => {
  await using machine = await startMachine({ auth: "none" });
  const web = await callGrpcWeb(machine.url, echo, { message: "hé" });
  assert.deepEqual([web.status, web.messages[0]?.message], [0, "hé"]);
  await withSession(machine.url, async (session) => {
    const native = await callGrpc(session, echo, { message: "hé" });
    assert.deepEqual([native.status, native.messages[0]?.message], [0, "hé"]);
    const stream = await callGrpc(session, echoMultiple, { message: "abc" });
    assert.deepEqual(stream.messages.map(({ message }) => message), ["a", "b", "c"]);
    const exchange = await callGrpc(session, echoBiDi, { message: "xyz" });
    assert.deepEqual(exchange.messages.map(({ message }) => message), ["x", "y", "z"]);
  });
  assert.deepEqual(machine.calls, { webrtc: 0, grpc: 3, "grpc-web": 1, connect: 0 });
  assert.deepEqual(machine.callsTo(pathOf(echo)), { webrtc: 0, grpc: 1, "grpc-web": 1, connect: 0 });
  assert.equal(machine.callsTo("/none.Such/Method").grpc, 0);
});

test("messages of many sizes go both ways", async () => {
  await using machine = await startMachine({ auth: "none" });
  await withSession(machine.url, async (session) => {
    for (const size of [0, 1, 65_536, 3_000_000]) {
      const data = new Uint8Array(size).fill(7);
      const web = await callGrpcWeb(machine.url, probe.echo, { data });
      assert.equal(web.status, 0, `gRPC-Web, ${size} bytes`);
      assert.deepEqual(web.messages[0]?.data.length, size);
      const native = await callGrpc(session, probe.echo, { data });
      assert.equal(native.status, 0, `gRPC, ${size} bytes`);
      assert.deepEqual(native.messages[0]?.data, data);
    }
  });
});

test("a message over the limit is refused, and the connection stays", async () => {
  await using machine = await startMachine({ auth: "none" });
  await withSession(machine.url, async (session) => {
    const data = new Uint8Array(33_554_432);
    assert.equal((await callGrpc(session, probe.echo, { data })).status, Code.ResourceExhausted);
    assert.equal((await callGrpc(session, probe.echo, { data: new Uint8Array(9) })).status, 0);
  });
  const data = new Uint8Array(33_554_432);
  assert.equal((await callGrpcWeb(machine.url, probe.echo, { data })).status, Code.ResourceExhausted);
  assert.equal((await callGrpcWeb(machine.url, probe.echo, {})).status, 0);
});

test("a nonexistent method is Unauthenticated without a token, as on a real machine", async () => {
  await using machine = await startMachine();
  const web = await callGrpcWeb(machine.url, { ...echo, name: "Nothing" }, {});
  assert.deepEqual([web.status, web.message], [Code.Unauthenticated, "authentication required"]);
  await withSession(machine.url, async (session) => {
    const native = await callGrpc(session, { ...echo, name: "Nothing" }, {});
    assert.deepEqual([native.status, native.message], [Code.Unauthenticated, "authentication required"]);
  });
});

test("a nonexistent method is Unimplemented in the caller's own protocol", async () => {
  await using machine = await startMachine({ auth: "none" });
  const unknown = { ...echo, name: "Nothing" };
  const web = await callGrpcWeb(machine.url, unknown, {});
  assert.deepEqual([web.httpStatus, web.status, web.message], [200, Code.Unimplemented, "Unimplemented"]);
  assert.equal(web.trailers.get("grpc-status"), "12");
  await withSession(machine.url, async (session) => {
    const native = await callGrpc(session, unknown, {});
    assert.deepEqual([native.status, native.message], [Code.Unimplemented, "Unimplemented"]);
    assert.equal(native.headers.get("content-type"), "application/grpc");
  });
  const json = await fetch(`${machine.url}${pathOf(unknown)}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  assert.equal(json.status, 404);
  assert.deepEqual(await json.json(), { code: "unimplemented", message: "Unimplemented" });
  assert.equal(machine.callsTo(pathOf(unknown)).grpc, 1);
});

test("browsers may call from any origin", async () => {
  await using machine = await startMachine({ auth: "none" });
  const preflight = await fetch(machine.url + pathOf(echo), {
    method: "OPTIONS",
    headers: {
      origin: "https://app.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type,x-grpc-web,authorization",
    },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-origin"), "*");
  assert.equal(
    preflight.headers.get("access-control-allow-headers"),
    "content-type,x-grpc-web,authorization",
  );
  await preflight.body?.cancel();
  const answer = await callGrpcWeb(machine.url, echo, {}, { origin: "https://app.example" });
  assert.equal(answer.headers.get("access-control-allow-origin"), "*");
  assert.equal(answer.headers.get("access-control-expose-headers"), "*");
});

test("a machine introduces itself at /", async () => {
  await using machine = await startMachine();
  const response = await fetch(machine.url);
  assert.equal(response.status, 200);
  assert.match(await response.text(), /^I am a machine/);
});

test("no connection of HTTP/1.1 is announced to end when it is idle", async () => {
  const { ca, cert, key, remove } = await makeCertificates();
  try {
    for (const secure of [false, true]) {
      await using machine = await startMachine(secure ? { tls: { cert, key } } : {});
      const socket = secure
        ? tls.connect({ port: machine.port, host: "127.0.0.1", ca, ALPNProtocols: ["http/1.1"] })
        : net.connect(machine.port, "127.0.0.1");
      socket.write("GET / HTTP/1.1\r\nHost: machine\r\n\r\n");
      const [head] = await once(socket, "data");
      assert.match(String(head), /^HTTP\/1\.1 200 /);
      assert.doesNotMatch(String(head), /^(keep-alive:|connection: close)/im, secure ? "TLS" : "plaintext");
      socket.destroy();
      await once(socket, "close");
    }
  } finally {
    await remove();
  }
});

test("Connect's own protocol works as well", async () => {
  await using machine = await startMachine({ auth: "none" });
  const response = await fetch(machine.url + pathOf(echo), {
    method: "POST",
    headers: { "content-type": "application/proto" },
    body: new Uint8Array(toBinary(EchoRequestSchema, create(EchoRequestSchema, { message: "hi" }))),
  });
  assert.equal(response.status, 200);
  await response.arrayBuffer();
  assert.equal(machine.calls.connect, 1);
});

test("a handler that throws ends its call, and nothing else", async () => {
  await using machine = await startMachine({
    auth: "none",
    routes: (router) =>
      router.service(EchoService, {
        echo() {
          throw new Error("a secret of the handler's");
        },
        // deno-lint-ignore require-yield
        async *echoMultiple() {
          throw new ConnectError("no more", Code.OutOfRange, { "x-trail": "why" });
        },
      }),
  });
  await withSession(machine.url, async (session) => {
    const plain = await callGrpc(session, echo, {});
    assert.equal(plain.status, Code.Internal);
    assert.equal(plain.message, "internal error");
    const typed = await callGrpc(session, echoMultiple, {});
    assert.deepEqual([typed.status, typed.message, typed.trailers.get("x-trail")], [11, "no more", "why"]);
  });
  assert.equal((await callGrpcWeb(machine.url, echo, {})).status, Code.Internal);
  // A service of one's own leaves the built-in methods that it does not have.
  await withSession(machine.url, async (session) => {
    assert.equal((await callGrpc(session, echoBiDi, { message: "x" })).messages[0]?.message, "x");
  });
});

test("a handler ends when its caller leaves without reading", async () => {
  let ended = Promise.withResolvers<void>();
  let yielded = 0;
  await using machine = await startMachine({
    auth: "none",
    routes: (router) =>
      router.service(EchoService, {
        async *echoMultiple() {
          const message = "x".repeat(1024 * 1024);
          try {
            for (;; yielded++) yield { message };
          } finally {
            ended.resolve();
          }
        },
      }),
  });
  const { hostname, port } = new URL(machine.url);
  const body = frame(echoMultiple, { message: "" });
  const socket = net.connect({ host: hostname, port: Number(port) });
  socket.write(
    `POST ${
      pathOf(echoMultiple)
    } HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/grpc-web+proto\r\n` +
      `content-length: ${body.length}\r\n\r\n`,
  );
  socket.write(body);
  socket.pause();
  // No more fits in between once it stands still.
  for (let before = -1; before !== yielded || yielded === 0;) {
    before = yielded;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  socket.destroy();
  await ended.promise;
  ended = Promise.withResolvers();
  await withSession(machine.url, async (session) => {
    const stream = session.request({
      ":method": "POST",
      ":path": pathOf(echoMultiple),
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {});
    stream.end(body);
    await new Promise((resolve) => stream.once("response", resolve));
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await ended.promise;
  });
}, { timeoutMs: 20_000 });

test("startMachine() refuses an invalid port", async () => {
  for (const port of ["x", 1.5, -1, 65_536, NaN]) {
    await assert.rejects(startMachine({ port: port as number }), /port must be an integer from 0 to 65535/);
  }
});

test("a client that sends too little to tell its protocol blocks no other", async () => {
  await using machine = await startMachine({ auth: "none" });
  const socket = net.connect({ host: "127.0.0.1", port: machine.port });
  socket.on("error", () => {});
  socket.write("P");
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await callGrpcWeb(machine.url, echo, { message: "hi" })).status, 0);
  // The rest may come as slowly as it likes.
  socket.write("O");
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.write("ST / HTTP/1.1\r\nhost: machine\r\ncontent-length: 0\r\n\r\n");
  const [first] = await once(socket, "data") as [Uint8Array];
  assert.match(new TextDecoder().decode(first), /^HTTP\/1\.1 /);
  socket.destroy();
});

test("the probe service fails as asked", async () => {
  await using machine = await startMachine({ auth: "none" });
  const request = { code: 5, message: "nothing there: 100 % ñ", after: 2, detail: "why" };
  await withSession(machine.url, async (session) => {
    for (
      const answer of [
        await callGrpc(session, probe.fail, request),
        await callGrpcWeb(machine.url, probe.fail, request),
      ]
    ) {
      assert.deepEqual(answer.messages.map(({ data }) => [...data]), [[0], [1]]);
      assert.deepEqual([answer.status, answer.message], [5, "nothing there: 100 % ñ"]);
      assert.equal(answer.headers.get("x-head"), "h1, h2");
      assert.equal(answer.headers.get("x-head-bin"), "AAECAw");
      assert.equal(answer.trailers.get("x-trail"), "t1");
      assert.equal(answer.trailers.get("x-trail-bin"), "CQgH");
      assert.ok(answer.trailers.get("grpc-status-details-bin"));
    }
    const unary = await callGrpc(session, probe.failUnary, { code: 8, message: "full" });
    assert.deepEqual([unary.status, unary.message], [8, "full"]);
    assert.equal((await callGrpc(session, probe.failUnary, {})).status, 0);
  });
});

test("the probe service describes how a call arrived", async () => {
  await using machine = await startMachine({ auth: "none" });
  const headers = { "x-text": "one, two", "x-data-bin": "AAECAw==", "grpc-timeout": "5S" };
  const web = await callGrpcWeb(machine.url, probe.inspect, {}, headers);
  assert.equal(web.messages[0]?.path, "grpc-web");
  assert.deepEqual(web.messages[0]?.metadata["x-text"]?.values, ["one, two"]);
  assert.deepEqual(web.messages[0]?.metadata["x-data-bin"]?.values, ["AAECAw"]);
  const left = Number(web.messages[0]?.timeoutMs);
  assert.ok(left > 3_000 && left <= 5_000, `${left} ms left`);
  await withSession(machine.url, async (session) => {
    const native = await callGrpc(session, probe.inspect, {});
    assert.deepEqual([native.messages[0]?.path, native.messages[0]?.timeoutMs], ["grpc", -1n]);
  });
});

test("a client that goes away cancels its call's handler", async () => {
  await using machine = await startMachine({ auth: "none" });
  const recall = async (token: string) =>
    (await callGrpcWeb(machine.url, probe.witness, { token })).messages[0];
  /** Until the handler has heard of it; the test's own time bounds it. */
  const cancelled = async (token: string) => {
    while ((await recall(token))?.cancelled !== true) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  const abort = new AbortController();
  const response = await fetch(machine.url + pathOf(probe.hang), {
    method: "POST",
    headers: { "content-type": "application/grpc-web+proto", "x-witness": "web" },
    body: frame(probe.hang, {}),
    signal: abort.signal,
  });
  assert.equal(response.status, 200);
  assert.equal((await recall("web"))?.started, true);
  assert.equal((await recall("web"))?.cancelled, false);
  abort.abort();
  await response.body?.cancel().catch(() => {});
  await cancelled("web");

  await withSession(machine.url, async (session) => {
    const stream = session.request({
      ":method": "POST",
      ":path": pathOf(probe.hang),
      "content-type": "application/grpc",
      "x-witness": "native",
    });
    stream.on("error", () => {});
    const first = new Promise((resolve) => stream.once("data", resolve));
    stream.end(frame(probe.hang, {}));
    await first;
    stream.close(8);
    await cancelled("native");
  });

  const finished = await callGrpcWeb(machine.url, probe.echo, {}, { "x-witness": "done" });
  assert.equal(finished.status, 0);
  const { started, cancelled: wasCancelled, finished: wasFinished } = (await recall("done"))!;
  assert.deepEqual([started, wasCancelled, wasFinished], [true, false, true]);
});

test("a deadline ends a call that hangs", async () => {
  await using machine = await startMachine({ auth: "none" });
  const answer = await callGrpcWeb(machine.url, probe.hangUnary, {}, { "grpc-timeout": "50m" });
  assert.equal(answer.status, Code.DeadlineExceeded);
});

test("the robot service has the methods that SDKs call", async () => {
  await using machine = await startMachine({ auth: "none" });
  const { method } = RobotService;
  await withSession(machine.url, async (session) => {
    const names = await callGrpc(session, method.resourceNames, {});
    assert.deepEqual(
      names.messages[0]?.resources.map((name) =>
        `${name.namespace}:${name.type}:${name.subtype}/${name.name}`
      ),
      ["rdk:component:sensor/thermometer", "rdk:component:motor/wheel"],
    );
    const started = (await callGrpc(session, method.startSession, {})).messages[0];
    assert.ok(started);
    assert.equal(started.heartbeatWindow?.seconds, 2n);
    const resumed = await callGrpc(session, method.startSession, { resume: started.id });
    assert.equal(resumed.messages[0]?.id, started.id);
    assert.equal((await callGrpc(session, method.sendSessionHeartbeat, { id: started.id })).status, 0);
    const expired = await callGrpc(session, method.sendSessionHeartbeat, { id: crypto.randomUUID() });
    assert.deepEqual([expired.status, expired.message], [Code.InvalidArgument, "SESSION_EXPIRED"]);
    assert.equal((await callGrpc(session, method.getMachineStatus, {})).messages[0]?.state, 2);
    assert.equal((await callGrpc(session, method.getVersion, {})).messages[0]?.platform, "viam-dial");
    assert.equal((await callGrpc(session, method.tunnel, {})).status, Code.Unimplemented);
  });
});

test("garbage and half requests do no harm", async () => {
  await using machine = await startMachine({ auth: "none" });
  assert.match(await exchangeBytes(machine.port, "\0\0\0\0\r\n\r\n"), /^(HTTP\/1.1 400|$)/);
  const socket = net.connect({ host: "127.0.0.1", port: machine.port });
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write("PO");
  const length = toBinary(PayloadSchema, create(PayloadSchema, { data: new Uint8Array(100) })).length;
  socket.write(
    `ST ${pathOf(probe.echo)} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web\r\ncontent-length: ${
      length + 5
    }\r\n\r\nabc`,
  );
  socket.destroy();
  assert.equal((await callGrpcWeb(machine.url, echo, { message: "ok" })).status, 0);
});
