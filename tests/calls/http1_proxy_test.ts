/** A plain HTTP/1.1 proxy in front of a machine, as nginx is with `proxy_pass`. */

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream";
import { ConnectError, createClient } from "@connectrpc/connect";
import { ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { dialDirect } from "../../mod.ts";
import { test } from "../harness.ts";

async function startHttp1Proxy(port: number) {
  const server = http.createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    const forwarded = http.request({ port, host: "127.0.0.1", method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      pipeline(answer, response, () => {});
    });
    forwarded.on("error", () => response.destroy());
    pipeline(request, forwarded, () => {});
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

test("a proxy that speaks HTTP/1.1 alone lets all calls through but bidirectional ones, whose error names it", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using proxy = await startHttp1Proxy(machine.port);
  await using channel = await dialDirect(proxy.address, { insecure: true });
  const probe = createClient(ProbeService, channel);
  async function* three() {
    for (let sent = 0; sent < 3; sent++) yield { data: new Uint8Array(2) };
  }
  assert.equal((await probe.echo({ data: new Uint8Array(5) })).data.length, 5);
  let received = 0;
  for await (const _ of probe.download({ size: 10, count: 3 })) received++;
  assert.equal(received, 3);
  assert.equal((await probe.upload(three())).bytes, 6n);
  const refused = await (async () => {
    for await (const _ of probe.exchange(three()));
  })().then(() => undefined, ConnectError.from);
  assert.match(String(refused), /HTTP\/1\.1/);
});

test("a server that answers gRPC with a page over HTTP/1.1 is named by its status", async () => {
  const server = http.createServer((_request, response) =>
    response.writeHead(302, { location: "/login" }).end()
  );
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  try {
    await assert.rejects(
      dialDirect(`127.0.0.1:${port}`, { insecure: true }),
      /HTTP status 302 instead of a gRPC answer/,
    );
  } finally {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  }
});
