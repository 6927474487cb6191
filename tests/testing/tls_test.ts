import assert from "node:assert/strict";
import https from "node:https";
import tls from "node:tls";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { startMachine } from "../../lib/testing/mod.ts";
import {
  EchoRequestSchema,
  EchoResponseSchema,
  EchoService,
} from "../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { callGrpc, callGrpcWeb, exchangeBytes, pathOf, withSession } from "./wire.ts";

const { echo } = EchoService.method;

test("with TLS a machine speaks HTTP/2 and HTTP/1.1, and refuses plaintext", async () => {
  const { cert, key, ca, remove } = await makeCertificates();
  await using _removed = { [Symbol.asyncDispose]: remove };
  await using machine = await startMachine({ tls: { cert, key }, auth: "none" });
  assert.equal(machine.url, `https://${machine.address}`);
  assert.equal(machine.certificate, cert);

  await withSession(`https://localhost:${machine.port}`, async (session) => {
    const answer = await callGrpc(session, echo, { message: "safe" });
    assert.equal(answer.messages[0]?.message, "safe");
  }, { ca });

  const body = toBinary(EchoRequestSchema, create(EchoRequestSchema, { message: "safe" }));
  const answer = await new Promise<Uint8Array>((resolve, reject) => {
    const request = https.request({
      host: "127.0.0.1",
      port: machine.port,
      path: pathOf(echo),
      method: "POST",
      headers: { "content-type": "application/proto" },
      ca,
      agent: false,
    }, (response) => {
      const chunks: Uint8Array[] = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve(new Uint8Array(chunks.flatMap((chunk) => [...chunk]))));
    });
    request.on("error", reject);
    request.end(body);
  });
  assert.equal(fromBinary(EchoResponseSchema, answer).message, "safe");

  assert.match(await exchangeBytes(machine.port, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), /^HTTP\/1\.1 400 /);
  assert.match(await exchangeBytes(machine.port, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), /^HTTP\/1\.1 400 /);
});

test("without TLS, a TLS ClientHello gets a plaintext answer at once", async () => {
  await using machine = await startMachine({ auth: "none" });
  // What a TLS client makes of it: the evidence that a dialer downgrades on.
  const error = await new Promise<Error>((resolve, reject) => {
    const socket = tls.connect({ host: "127.0.0.1", port: machine.port });
    socket.on("error", resolve);
    socket.on("secureConnect", () => reject(new Error("connected")));
  });
  assert.ok(error);
  const greeting = new Uint8Array([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]);
  assert.match(await exchangeBytes(machine.port, greeting), /^HTTP\/1\.1 400 /);
  assert.equal((await callGrpcWeb(machine.url, echo, {})).status, 0);
});

test("a client certificate can be required", async () => {
  const { cert, key, ca, issue, remove } = await makeCertificates();
  await using _removed = { [Symbol.asyncDispose]: remove };
  const client = await issue({ client: true, names: ["client"] });
  await using machine = await startMachine({
    tls: { cert, key, ca, requestCertificate: true },
    auth: "none",
  });
  const url = `https://localhost:${machine.port}`;
  await withSession(url, async (session) => {
    assert.equal((await callGrpc(session, echo, {})).status, 0);
  }, { ca, cert: client.cert, key: client.key });
  await assert.rejects(withSession(url, (session) => callGrpc(session, echo, {}), { ca }));
});
