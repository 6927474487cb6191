import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import net from "node:net";
import { createClient } from "@connectrpc/connect";
import { MAX_MESSAGE_BYTES } from "../../lib/core/limits.ts";
import { createFetchCarrier } from "../../lib/direct/fetch_carrier.ts";
import { createCarrierTransport } from "../../lib/rpc/transport.ts";
import { RUNTIME } from "../../lib/runtime/runtime.ts";
import { startMachine } from "../../lib/testing/mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";

/** A way to a port that connections get through only once it is opened. */
async function startGate(port: number) {
  const opened = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    arrived.resolve();
    void opened.promise.then(() => {
      const inner = net.connect(port, "127.0.0.1");
      sockets.add(inner);
      inner.on("error", () => {});
      socket.on("close", () => inner.destroy());
      inner.on("close", () => socket.destroy());
      socket.pipe(inner).pipe(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    /** A connection has been asked for. */
    arrived: arrived.promise,
    open: opened.resolve,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

test("fetch carrier: a call that is cancelled while the connection is made takes no other with it", async () => {
  const { ca, cert, key, remove } = await makeCertificates();
  const machine = await startMachine({ auth: "none", webrtc: false, tls: { cert, key } });
  const gate = await startGate(machine.port);
  const carrier = createFetchCarrier({ secure: true, hostname: "127.0.0.1", port: gate.port, tls: { ca } }, {
    runtime: RUNTIME === "bun" ? "bun" : "node",
    maxMessageBytes: MAX_MESSAGE_BYTES,
  });
  try {
    const probe = createClient(
      ProbeService,
      createCarrierTransport({ carrier: () => carrier, baseUrl: machine.url, maxBufferedBytes: 1 << 26 }),
    );
    const cancel = new AbortController();
    const first = assert.rejects(probe.echo({}, { signal: cancel.signal }));
    await gate.arrived;
    const data = Uint8Array.of(1, 2, 3);
    const unary = probe.echo({ data });
    const upload = probe.upload((async function* () {
      yield { data };
      yield { data };
    })());
    // Each of them has to wait for the connection by now.
    await new Promise((resolve) => setTimeout(resolve, 50));
    cancel.abort();
    await first;
    gate.open();
    assert.deepEqual(new Uint8Array((await unary).data), data);
    assert.deepEqual((await upload).bytes, 6n);
  } finally {
    await carrier.close();
    await gate.close();
    await machine.close();
    await remove();
  }
});

test("fetch carrier: 300 entries of metadata arrive, or fail the call", async () => {
  await using machine = await startMachine({ auth: "none", webrtc: false });
  const carrier = createFetchCarrier({ secure: false, hostname: "127.0.0.1", port: machine.port }, {
    runtime: RUNTIME === "bun" ? "bun" : "node",
    maxMessageBytes: MAX_MESSAGE_BYTES,
  });
  const probe = createClient(
    ProbeService,
    createCarrierTransport({ carrier: () => carrier, baseUrl: machine.url, maxBufferedBytes: 1 << 26 }),
  );
  const call = async (entries: number) => {
    const headers = Object.fromEntries(
      Array.from({ length: entries }, (_, index) => [`x-entry-${index}`, "v"]),
    );
    const { metadata } = await probe.inspect({}, { headers });
    return Object.keys(metadata).filter((name) => name.startsWith("x-entry-")).length;
  };
  try {
    if (RUNTIME === "bun") await assert.rejects(call(300), /resource_exhausted.*no more than 240/);
    else assert.equal(await call(300), 300);
    assert.equal(await call(230), 230);
  } finally {
    await carrier.close();
  }
});

const TCP_TABLE = "/proc/net/tcp", ESTABLISHED = "01", KEEP_ALIVE = "02";

/** The sockets of this process, by the names of their descriptors: the table also has those of others. */
function ownSockets(): Set<string> {
  return new Set(
    readdirSync("/proc/self/fd").map((descriptor) => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`);
      } catch {
        return ""; // that of this listing
      }
    }),
  );
}

test("fetch carrier: TCP asks in silence whether the other computer is still there", async () => {
  await using machine = await startMachine({ auth: "none", webrtc: false });
  const carrier = createFetchCarrier({ secure: false, hostname: "127.0.0.1", port: machine.port }, {
    runtime: RUNTIME === "bun" ? "bun" : "node",
    maxMessageBytes: MAX_MESSAGE_BYTES,
    keepAliveMs: 1_000,
  });
  const probe = createClient(
    ProbeService,
    createCarrierTransport({ carrier: () => carrier, baseUrl: machine.url, maxBufferedBytes: 1 << 26 }),
  );
  try {
    const stream = probe.hang({})[Symbol.asyncIterator]();
    await stream.next();
    const port = machine.port.toString(16).toUpperCase().padStart(4, "0");
    const own = ownSockets();
    const timers = readFileSync(TCP_TABLE, "utf8").split("\n").map((line) => line.trim().split(/\s+/))
      .filter(([, , remote, state]) => state === ESTABLISHED && remote?.endsWith(`:${port}`))
      .filter((fields) => own.has(`socket:[${fields[9]}]`))
      .map((fields) => fields[5]!.split(":")[0]);
    assert.deepEqual(new Set(timers), new Set([KEEP_ALIVE]));
    const ended = stream.next().catch(() => {});
    await carrier.close();
    await ended;
  } finally {
    await carrier.close();
  }
}, { skip: existsSync(TCP_TABLE) ? undefined : "needs Linux's table of connections" });
