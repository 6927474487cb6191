import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { goawayFilter } from "../../lib/core/http2/goaway.ts";
import { filteredSocket } from "../../lib/direct/filtered_socket.ts";
import { createHttp2Carrier } from "../../lib/direct/http2_carrier.ts";
import { createCarrierTransport } from "../../lib/rpc/transport.ts";
import { RUNTIME } from "../../lib/runtime/runtime.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { type Answer, startScriptedServer, type WriteFrame } from "./scripted_server.ts";

/** A server that allows so many calls at a time, and does with each what it is told. */
async function startServer(maxConcurrentStreams: number, answer: (stream: http2.ServerHttp2Stream) => void) {
  const sockets = new Set<net.Socket>();
  let sessions = 0;
  const multiplexed = http2.createServer({ settings: { maxConcurrentStreams } });
  multiplexed.on("session", (session) => {
    sessions++;
    session.on("error", () => {});
  });
  multiplexed.on("sessionError", () => {});
  multiplexed.on("stream", (stream: http2.ServerHttp2Stream) => {
    stream.on("error", () => {});
    answer(stream);
  });
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    multiplexed.emit(
      "connection",
      RUNTIME === "deno" ? filteredSocket(socket, goawayFilter("client")) : socket,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    get sessions() {
      return sessions;
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

type ProbeClient = Client<typeof ProbeService>;

/** A client over a carrier of its own to a port of this computer. */
function clientOf(port: number, secure = false, keepAliveMs = 0) {
  const carrier = createHttp2Carrier({ secure, hostname: "127.0.0.1", port }, {
    runtime: RUNTIME,
    maxMessageBytes: 1_000_000,
    keepAliveMs,
  });
  const baseUrl = `${secure ? "https" : "http"}://127.0.0.1`;
  const transport = createCarrierTransport({ carrier: () => carrier, baseUrl, maxBufferedBytes: 1_000_000 });
  return { carrier, client: createClient(ProbeService, transport) };
}

test("http2 carrier: an answer that is refused unread gives its place on the session back", async () => {
  const server = await startServer(1, (stream) => {
    stream.respond({ ":status": 200, "content-type": "text/html" });
    stream.end("x".repeat(200_000));
  });
  const { carrier, client } = clientOf(server.port);
  try {
    const calls = 20;
    for (let call = 0; call < calls; call++) {
      await assert.rejects(
        client.echo({}),
        (error) => error instanceof ConnectError && error.code === Code.Unknown,
      );
    }
    // A call may come before the place of the last one is free again, but not before that of each one.
    assert.ok(server.sessions < calls / 2, `${server.sessions} sessions`);
  } finally {
    await carrier.close();
    await server.close();
  }
});

test("http2 carrier: more calls at once than the server allows are spread over sessions", async () => {
  const server = await startServer(100, (stream) => {
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
    stream.end(new Uint8Array(5));
  });
  const { carrier, client } = clientOf(server.port);
  try {
    await Promise.all(Array.from({ length: 400 }, () => client.echo({})));
    assert.ok(server.sessions > 1);
  } finally {
    await carrier.close();
    await server.close();
  }
});

const EMPTY: Answer = {
  headers: [["content-type", "application/grpc"]],
  body: new Uint8Array(5),
  trailers: [["grpc-status", "0"]],
};
const SETTINGS = 4, GOAWAY = 7;
/** SETTINGS_MAX_CONCURRENT_STREAMS. */
const streamsOf = (most: number) => Uint8Array.of(0, 3, 0, 0, 0, most);
const goawayOf = (code: number, lastStreamId = 0) => Uint8Array.of(0, 0, 0, lastStreamId, 0, 0, 0, code);

test("http2 carrier: more metadata than a runtime sends fails its call, and no other", async () => {
  await using server = await startScriptedServer(() => EMPTY);
  const { carrier, client } = clientOf(server.port);
  try {
    const large = { headers: { "x-large": "v".repeat(200_000) } };
    for (const call of [() => client.echo({}, large), () => readAll(client.download({}, large))]) {
      await assert.rejects(call(), (error) => ConnectError.from(error).code === Code.ResourceExhausted);
    }
    await client.echo({}, { headers: { "x-large": "v".repeat(60_000) } });
    assert.equal(server.connections, 1);
  } finally {
    await carrier.close();
  }
});

async function readAll(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages);
}

for (const how of ["ends the connection", "sends it away"]) {
  test(`http2 carrier: a call waits while a server takes none, and goes out anew when it ${how}`, async () => {
    let connected: { readonly frame: WriteFrame; readonly socket: net.Socket } | undefined;
    let calls = 0;
    await using server = await startScriptedServer(() => {
      // The settings come before the answer.
      if (++calls === 1) connected!.frame(SETTINGS, 0, 0, streamsOf(0));
      return EMPTY;
    }, { onConnection: (frame, _connection, socket) => connected ??= { frame, socket } });
    const { carrier, client } = clientOf(server.port);
    try {
      await client.echo({});
      const waiting = client.echo({});
      if (how === "ends the connection") connected!.socket.end();
      else connected!.frame(GOAWAY, 0, 0, goawayOf(0));
      await waiting;
      assert.deepEqual([calls, server.connections], [2, 2]);
    } finally {
      await carrier.close();
    }
  });
}

test("http2 carrier: no connection is made for calls that are over while they waited for room", async () => {
  let frame: WriteFrame | undefined;
  let calls = 0;
  await using server = await startScriptedServer(() => {
    if (++calls === 1) frame!(SETTINGS, 0, 0, streamsOf(0));
    return EMPTY;
  }, { onConnection: (write) => frame ??= write });
  const { carrier, client } = clientOf(server.port);
  try {
    await client.echo({});
    const left = new AbortController();
    const waited = Array.from({ length: 20 }, () => client.echo({}, { signal: left.signal }));
    left.abort();
    await Promise.allSettled(waited);
    const last = client.echo({});
    frame!(SETTINGS, 0, 0, streamsOf(1));
    await last;
    assert.deepEqual([calls, server.connections], [2, 1]);
  } finally {
    await carrier.close();
  }
});

for (const code of [0, 2]) {
  test(`http2 carrier: a server that sends each connection away unused is tried a few times, code ${code}`, async () => {
    await using server = await startScriptedServer(() => EMPTY, {
      onConnection(frame, _connection, socket) {
        frame(GOAWAY, 0, 0, goawayOf(code));
        socket.end();
      },
    });
    const { carrier, client } = clientOf(server.port);
    try {
      await assert.rejects(client.echo({}), (error) => ConnectError.from(error).code === Code.Unavailable);
      assert.ok(server.connections < 10, `${server.connections} connections`);
    } finally {
      await carrier.close();
    }
  });

  test(`http2 carrier: calls before a GOAWAY with the code ${code} are answered, those after it made again`, async () => {
    const kinds = {
      "unary": ({ echo }: ProbeClient) => echo({}),
      "server streaming": ({ download }: ProbeClient) => readAll(download({})),
      "client streaming": ({ upload }: ProbeClient) => upload(noMessages()),
      "bidirectional": ({ exchange }: ProbeClient) => readAll(exchange(noMessages())),
    };
    for (const [kind, call] of Object.entries(kinds)) {
      let first: WriteFrame | undefined;
      let calls = 0;
      const taken = Promise.withResolvers<Answer>();
      await using server = await startScriptedServer(() => {
        if (++calls === 1) return taken.promise;
        if (calls === 2) return void first!(GOAWAY, 0, 0, goawayOf(code, 1));
        taken.resolve(EMPTY);
        return EMPTY;
      }, { onConnection: (frame) => first ??= frame });
      const { carrier, client } = clientOf(server.port);
      try {
        await Promise.all([call(client), call(client)]);
        assert.deepEqual([calls, server.connections], [3, 2], kind);
      } finally {
        await carrier.close();
      }
    }
  });
}

test("http2 carrier: a call that is answered is not made again, though a GOAWAY leaves it out", async () => {
  let connected: { readonly frame: WriteFrame; readonly socket: net.Socket } | undefined;
  let calls = 0;
  await using server = await startScriptedServer(() => {
    calls++;
    const { frame, socket } = connected!;
    // Both come at once.
    socket.cork();
    queueMicrotask(() => {
      frame(GOAWAY, 0, 0, goawayOf(0));
      socket.uncork();
    });
    return EMPTY;
  }, { onConnection: (frame, _connection, socket) => connected = { frame, socket } });
  const { carrier, client } = clientOf(server.port);
  try {
    await client.echo({}).catch(() => {});
    assert.equal(calls, 1);
  } finally {
    await carrier.close();
  }
});

test("http2 carrier: connections that a server finds to ping too often count as one complaint", async () => {
  const connected: { readonly frame: WriteFrame; readonly socket: net.Socket }[] = [];
  let calls = 0;
  await using server = await startScriptedServer(() => {
    if (++calls < 2) return undefined;
    for (const { frame, socket } of connected) {
      frame(GOAWAY, 0, 0, goawayOf(11, 1));
      socket.end();
    }
    return undefined;
  }, {
    settings: streamsOf(1),
    onConnection: (frame, _connection, socket) => connected.push({ frame, socket }),
  });
  const { carrier, client } = clientOf(server.port, false, 60_000);
  try {
    const failures = await Promise.all([client.echo({}), client.echo({})].map((call) => call.catch(String)));
    for (const failure of failures) assert.match(String(failure), /was 60000, and is 120000 from now on/);
    assert.equal(server.connections, 2);
  } finally {
    await carrier.close();
  }
});

async function* noMessages(): AsyncGenerator<{ data: Uint8Array }> {}

test(
  "http2 carrier: a server that takes the connection and says nothing holds calls for 20 s, and no others",
  async () => {
    const sockets: net.Socket[] = [];
    const server = net.createServer((socket) => {
      sockets.push(socket.on("error", () => {}).resume());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as net.AddressInfo;
    const { carrier, client } = clientOf(port, true);
    try {
      await assert.rejects(client.echo({}), /\[unavailable\] timed out: .* after 20000 ms/);
      const next = client.echo({}, { timeoutMs: 300 });
      await assert.rejects(next, (error) => ConnectError.from(error).code === Code.DeadlineExceeded);
      assert.equal(sockets.length, 2);
    } finally {
      await carrier.close();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  },
  { timeoutMs: 60_000 },
);

test("http2 carrier: an upload that is cancelled is no whole one to the server", async () => {
  let hasEnded = false;
  const closed = Promise.withResolvers<void>();
  const came = Promise.withResolvers<void>();
  const server = await startServer(100, (stream) => {
    stream.on("data", () => came.resolve());
    // A reset ends what there is to read, too.
    stream.on("end", () => hasEnded = !stream.aborted || stream.rstCode === 0);
    stream.on("close", () => closed.resolve());
  });
  const { carrier, client } = clientOf(server.port);
  try {
    const abort = new AbortController();
    const input = async function* () {
      yield { data: new Uint8Array(3) };
      await new Promise((resolve) => abort.signal.addEventListener("abort", resolve));
    };
    const call = client.upload(input(), { signal: abort.signal });
    await came.promise;
    abort.abort();
    await assert.rejects(call, (error) => ConnectError.from(error).code === Code.Canceled);
    await closed.promise;
    assert.equal(hasEnded, false);
  } finally {
    await carrier.close();
    await server.close();
  }
});

test("filteredSocket() tells when its socket has room again, which an upload over a slow link waits for", async () => {
  const accepted = Promise.withResolvers<net.Socket>();
  const server = net.createServer({ pauseOnConnect: true }, accepted.resolve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
  const filtered = filteredSocket(socket, goawayFilter("server"));
  try {
    const chunk = new Uint8Array(1024 * 1024);
    while (filtered.write(chunk));
    const drained = new Promise<void>((resolve) => filtered.once("drain", resolve));
    const reader = await accepted.promise;
    reader.on("data", () => {});
    reader.resume();
    await drained;
  } finally {
    const closed = Promise.all([
      new Promise((resolve) => socket.once("close", resolve)),
      new Promise((resolve) => server.close(resolve)),
    ]);
    filtered.destroy();
    await closed;
  }
});
