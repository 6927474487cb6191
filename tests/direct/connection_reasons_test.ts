/** The reasons of failed connections, by real failures on each runtime: the reasons come of codes, and of the words of Deno's fetch. */

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import { Code, type ConnectError } from "@connectrpc/connect";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { MAX_MESSAGE_BYTES } from "../../lib/core/limits.ts";
import { type ConnectionReason, connectionReason } from "../../lib/core/net/connection_error.ts";
import { createFetchCarrier } from "../../lib/direct/fetch_carrier.ts";
import { createHttp2Carrier } from "../../lib/direct/http2_carrier.ts";
import type { TlsOptions } from "../../lib/options/dial_options.ts";
import { makeCertificates } from "../certificates.ts";
import { runtime, test } from "../harness.ts";

/** A server on a port of this computer, gone at the end of its scope. */
async function listen(server: net.Server) {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket.on("error", () => {}));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

interface Case {
  readonly title: string;
  readonly reason: ConnectionReason;
  readonly secure?: boolean;
  readonly hostname?: string;
  readonly tls?: TlsOptions;
  /** Not over HTTP/1.1, and not where Bun's fetch has no code for it. */
  readonly overHttp2?: boolean;
  /** The server; nobody listens by default. */
  readonly server?: () => net.Server;
}

const certificates = await makeCertificates();
const otherName = await certificates.issue({ names: ["other.example"] });
const expired = await certificates.issue({ expired: true });
await certificates.remove();
const { ca, cert, key } = certificates;

function tlsServer(options: tls.TlsOptions): net.Server {
  const server = tls.createServer({ ALPNProtocols: ["h2", "http/1.1"], ...options }, (socket) => {
    socket.on("error", () => {});
  });
  return server.on("tlsClientError", () => {});
}

const cases: readonly Case[] = [
  { title: "nobody listens", reason: "connection refused" },
  { title: "nobody listens, TLS", reason: "connection refused", secure: true },
  { title: "an unknown name", reason: "name not found", hostname: "nonexistent.invalid" },
  {
    title: "a server that closes every connection",
    reason: "connection lost",
    server: () => net.createServer((socket) => void socket.once("data", () => socket.end())),
  },
  {
    title: "a server that resets every connection",
    reason: "connection lost",
    server: () => net.createServer((socket) => void socket.once("data", () => socket.resetAndDestroy())),
  },
  {
    title: "a server that closes every TLS handshake",
    reason: "connection lost",
    secure: true,
    server: () => net.createServer((socket) => void socket.once("data", () => socket.end())),
  },
  {
    title: "a server without TLS",
    reason: "TLS failed",
    secure: true,
    server: () =>
      net.createServer((socket) => void socket.once("data", () => socket.end("HTTP/1.1 400 \r\n\r\n"))),
  },
  {
    title: "an unknown authority",
    reason: "certificate not trusted",
    secure: true,
    server: () => tlsServer({ cert, key }),
  },
  {
    title: "a certificate for another name",
    reason: "certificate not trusted",
    secure: true,
    tls: { ca },
    server: () => tlsServer(otherName),
  },
  {
    title: "an expired certificate",
    reason: "certificate not trusted",
    secure: true,
    tls: { ca },
    server: () => tlsServer(expired),
  },
  {
    title: "a server that negotiates HTTP/1.1 alone",
    reason: "the server, or a proxy in front of it, speaks HTTP/1.1 alone",
    secure: true,
    tls: { ca },
    overHttp2: true,
    server: () => tlsServer({ cert, key, ALPNProtocols: ["http/1.1"] }),
  },
  {
    title: "a server that wants a certificate",
    // Bun's fetch has no code of its own for it.
    reason: "a client certificate is required",
    secure: true,
    tls: { ca },
    server: () => tlsServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true }),
  },
];

const options = { runtime, maxMessageBytes: MAX_MESSAGE_BYTES };

/** The error of a call to a server. */
async function failureOf(
  via: "fetch" | "node:http2",
  endpoint: { secure: boolean; hostname: string; port: number; tls?: TlsOptions },
): Promise<ConnectError | undefined> {
  const carrier = via === "node:http2"
    ? createHttp2Carrier(endpoint, { ...options, keepAliveMs: 0 })
    : createFetchCarrier(endpoint, { ...options, runtime: runtime === "bun" ? "bun" : "node" });
  try {
    return await new Promise((resolve) => {
      const request = {
        path: "/a.B/C",
        kind: "unary",
        metadata: new Metadata(),
        timeoutMs: undefined,
      } as const;
      const call = carrier.open(request, { headers() {}, message() {}, end: ({ error }) => resolve(error) });
      call.send(new Uint8Array(0), true);
    });
  } finally {
    await carrier.close();
  }
}

for (const each of cases) {
  const { title, reason, secure = false, hostname = "127.0.0.1", tls: tlsOptions, server, overHttp2 } = each;
  for (const via of ["fetch", "node:http2"] as const) {
    if (overHttp2 === true && via === "fetch") continue;
    const expected =
      runtime === "bun" && via !== "node:http2" && reason === "a client certificate is required"
        ? "TLS failed"
        : reason;
    test(`connectionReason() of ${via}: ${title} is "${expected}"`, async () => {
      await using listening = await listen(server?.() ?? net.createServer());
      const { port } = listening;
      if (server === undefined) await listening[Symbol.asyncDispose]();
      const error = await failureOf(via, {
        secure,
        hostname,
        port,
        ...(tlsOptions === undefined ? {} : { tls: tlsOptions }),
      });
      assert.equal(error?.code, Code.Unavailable);
      assert.equal(connectionReason(error), expected, error?.rawMessage);
      assert.ok(error.rawMessage.startsWith(`${expected}: `), error.rawMessage);
    });
  }
}
