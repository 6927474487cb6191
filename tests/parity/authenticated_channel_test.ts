import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { AuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import { EchoService, type Machine, ProbeService, startMachine } from "../../lib/testing/mod.ts";
import {
  AuthenticatedChannel,
  deadline,
  dial,
  dialDirect,
  DialError,
  type DialOptions,
  Metadata,
} from "../../mod.ts";
import { test } from "../harness.ts";
import { AUTHENTICATE, callsTo, failureOf, optionsFor, startSecureMachine, WAYS } from "./robots.ts";

/** Runs `use` over WebRTC and directly, each with a machine of its own. */
async function overBoth(
  use: (transport: Transport, machine: Machine, kind: "webrtc" | "direct") => Promise<void>,
  options: DialOptions = {},
): Promise<void> {
  for (const [kind, way] of WAYS) {
    await using machine = await startMachine();
    await using channel = await dial(machine.address, { ...optionsFor(machine), ...way, ...options });
    assert.equal(channel.kind, kind);
    await use(channel.channel, machine, kind);
  }
}

async function* items<T>(...all: T[]): AsyncGenerator<T> {
  yield* all;
}

test("row 30: a call has the token beside its own metadata, AuthService goes without, calls share one renewal", async () => {
  await using machine = await startMachine();
  await using channel = await dialDirect(machine.address, optionsFor(machine));
  const probe = createClient(ProbeService, channel);
  const { metadata } = await probe.inspect({}, { headers: { "x-own": "1", authorization: "Bearer mine" } });
  assert.deepEqual(metadata["x-own"]?.values, ["1"]);
  const tokens = metadata["authorization"]?.values ?? [];
  assert.equal(tokens.length, 1);
  assert.match(tokens[0]!, /^Bearer (?!mine)/);

  // A server refuses to authenticate who has a token.
  const { apiKey, apiKeyId } = machine;
  const { accessToken } = await createClient(AuthService, channel).authenticate({
    entity: apiKeyId,
    credentials: { type: "api-key", payload: apiKey },
  });
  assert.notEqual(accessToken, "");

  const before = callsTo(machine, AUTHENTICATE);
  machine.revokeTokens();
  const codes = await Promise.all(
    Array.from({ length: 10 }, () => probe.echo({}).catch((error) => ConnectError.from(error).code)),
  );
  assert.deepEqual(codes, new Array(10).fill(Code.Unauthenticated), "a refused call is not repeated");
  await Promise.all(Array.from({ length: 10 }, () => probe.echo({})));
  assert.equal(callsTo(machine, AUTHENTICATE) - before, 1);
});

test("row 31: the host of a channel may be an IPv6 address in brackets, or a Unix socket", async () => {
  const hasIPv6 = Object.values(networkInterfaces()).flat().some((at) => at?.address === "::1");
  const hosts = hasIPv6 ? ["127.0.0.1", "::1"] : ["127.0.0.1"];
  for (const hostname of hosts) {
    await using machine = await startMachine({ hostname, auth: "none" });
    assert.equal(machine.address.startsWith("["), hostname === "::1");
    await using channel = await dialDirect(machine.address, { insecure: true });
    assert.equal((await createClient(EchoService, channel).echo({ message: hostname })).message, hostname);
  }
  await using machine = await startMachine({ auth: "none" });
  const folder = await mkdtemp(join(tmpdir(), "viam-dial-"));
  const path = join(folder, "machine.sock");
  const sockets = new Set<Socket>();
  const server = createServer((inner) => {
    const outer = connect(machine.port, "127.0.0.1");
    for (const socket of [inner, outer]) sockets.add(socket.on("error", () => socket.destroy()));
    inner.pipe(outer).pipe(inner);
  }).listen(path);
  await once(server, "listening");
  try {
    for (const address of [`unix:${path}`, path]) {
      await using channel = await dialDirect(address, { insecure: true });
      assert.equal((await createClient(EchoService, channel).echo({ message: "unix" })).message, "unix");
    }
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  }
});

test("row 32: the port of a channel is that of its address, else 443, or 80 when insecure", async () => {
  const cases = [["127.83.41.8", {}, 443], ["127.83.41.8", { insecure: true }, 80], [
    "127.83.41.8:9443",
    {},
    9443,
  ]] as const;
  for (const [address, options, port] of cases) {
    const error = await failureOf(dialDirect(address, { ...options, timeoutMs: 5_000 }));
    assert.ok(error instanceof DialError);
    assert.equal(error.attempts[0]!.target, `127.83.41.8:${port}`);
  }
});

test("row 33: tls takes authorities, versions and no verification; loopback is verified like anything else", async () => {
  const { machine, ca } = await startSecureMachine({ auth: "none" });
  await using _ = machine;
  const untrusted = await failureOf(dialDirect(machine.address));
  assert.ok(untrusted instanceof DialError);
  assert.match(untrusted.message, /certificate|TLS/);
  for (
    const tls of [{ ca }, { ca: [ca] }, { rejectUnauthorized: false }, { ca, minVersion: "TLSv1.3" }] as const
  ) {
    await using channel = await dialDirect(machine.address, { tls });
    assert.equal((await createClient(EchoService, channel).echo({ message: "x" })).message, "x");
  }
});

test("row 34: tls.serverName is the name that the certificate has to be for", async () => {
  const { machine, ca } = await startSecureMachine({ auth: "none" }, ["robot.example"]);
  await using _ = machine;
  assert.ok(await failureOf(dialDirect(machine.address, { tls: { ca } })) instanceof DialError);
  const wrong = { ca, serverName: "other.example" };
  assert.ok(await failureOf(dialDirect(machine.address, { tls: wrong })) instanceof DialError);
  await using channel = await dialDirect(machine.address, { tls: { ca, serverName: "robot.example" } });
  assert.equal((await createClient(EchoService, channel).echo({ message: "x" })).message, "x");
});

test("row 35: createClient() takes a channel, or the ViamChannel itself, over WebRTC and directly", async () => {
  for (const [kind, way] of WAYS) {
    await using machine = await startMachine();
    await using channel = await dial(machine.address, { ...optionsFor(machine), ...way });
    for (const transport of [channel, channel.channel]) {
      assert.equal((await createClient(EchoService, transport).echo({ message: kind })).message, kind);
    }
  }
});

test("row 36: unary, server-, client- and bidirectional streaming calls are all there", async () => {
  await overBoth(async (transport) => {
    const probe = createClient(ProbeService, transport);
    const data = Uint8Array.of(1, 2, 3);
    assert.deepEqual((await probe.echo({ data })).data, data);
    assert.equal((await Array.fromAsync(probe.download({ size: 4, count: 3 }))).length, 3);
    assert.equal((await probe.upload(items({ data }, { data }))).bytes, 6n);
    assert.equal((await Array.fromAsync(probe.exchange(items({ data }, { data })))).length, 2);
  });
});

test("row 37: close() closes a channel, and so does the end of an await using block", async () => {
  await using machine = await startMachine();
  for (const connect of [dial, dialDirect]) {
    const channel = await connect(machine.address, optionsFor(machine));
    await channel.close();
    assert.equal(channel.state, "closed");
    let left;
    {
      await using used = await connect(machine.address, optionsFor(machine));
      left = used;
      assert.equal(left.state, "connected");
    }
    assert.equal(left.state, "closed");
  }
});

test("row 38: AuthenticatedChannel.unary() and stream() make calls by descriptor, without a client", async () => {
  await overBoth(async (channel) => {
    assert.ok(channel instanceof AuthenticatedChannel);
    const signal = new AbortController().signal;
    const { echo, exchange } = ProbeService.method;
    const data = Uint8Array.of(7);
    const unary = await channel.unary(echo, signal, 20_000, { "x-a": "b" }, { data });
    assert.deepEqual([unary.stream, unary.message.data], [false, data]);
    const stream = await channel.stream(exchange, signal, 20_000, undefined, items({ data }, { data }));
    assert.equal(stream.stream, true);
    assert.equal((await Array.fromAsync(stream.message)).length, 2);
  });
});

test("row 39: the path of a call is /package.Service/Method of its descriptor", async () => {
  await overBoth(async (channel, machine) => {
    const method = ProbeService.method.echo;
    const path = `/${method.parent.typeName}/${method.name}`;
    assert.equal(callsTo(machine, path), 0);
    const { method: answered, service } = await channel.unary(method, undefined, undefined, undefined, {});
    assert.equal(callsTo(machine, path), 1);
    assert.deepEqual([answered, service], [method, ProbeService]);
  });
});

test("row 40: methodKind says which of the two a method wants: unary() or stream()", async () => {
  const kinds = Object.values(ProbeService.method).map(({ methodKind }) => methodKind);
  assert.deepEqual(
    new Set(kinds),
    new Set(["unary", "server_streaming", "client_streaming", "bidi_streaming"]),
  );
  await overBoth(async (channel) => {
    const { download, upload, exchange } = ProbeService.method;
    const answers = [
      channel.stream(download, undefined, undefined, undefined, items({ size: 1, count: 1 })),
      channel.stream(upload, undefined, undefined, undefined, items({})),
      channel.stream(exchange, undefined, undefined, undefined, items({})),
    ];
    for (const { message } of await Promise.all<{ readonly message: AsyncIterable<unknown> }>(answers)) {
      assert.equal((await Array.fromAsync(message)).length, 1);
    }
    const { message } = await channel.unary(ProbeService.method.echo, undefined, undefined, undefined, {});
    assert.equal(message.data.length, 0);
  });
});

test("row 41: input and output of a method are schemas: any init goes in, a message of the output type comes out", async () => {
  await overBoth(async (channel) => {
    const method = ProbeService.method.inspect;
    const { message } = await channel.unary(method, undefined, undefined, undefined, {});
    assert.equal(message.$typeName, method.output.typeName);
    assert.equal(method.input.typeName, "viam_dial.probe.v1.InspectRequest");
  });
});

test("row 42: timeoutMs goes to the machine, and ends the call here with DeadlineExceeded", async () => {
  await overBoth(async (transport) => {
    const probe = createClient(ProbeService, transport);
    const { timeoutMs } = await probe.inspect({}, { timeoutMs: 60_000 });
    assert.ok(timeoutMs > 30_000n && timeoutMs <= 60_000n, `${timeoutMs}`);
    const error = await failureOf(probe.hangUnary({}, { timeoutMs: 100 }));
    assert.ok(error instanceof ConnectError);
    assert.equal(error.code, Code.DeadlineExceeded);
  });
});

test("row 43: deadline() makes a timeout of a point in time; the earlier of both wins", async () => {
  await overBoth(async (transport) => {
    const probe = createClient(ProbeService, transport);
    const { timeoutMs } = await probe.inspect({}, deadline(new Date(Date.now() + 60_000), 300_000));
    assert.ok(timeoutMs > 30_000n && timeoutMs <= 60_000n, `${timeoutMs}`);
    for (const by of [deadline(Date.now() + 100), deadline(Date.now() + 60_000, 100), deadline(0)]) {
      const error = await failureOf(probe.hangUnary({}, by));
      assert.ok(error instanceof ConnectError);
      assert.equal(error.code, Code.DeadlineExceeded);
    }
  });
});

test("row 44: headers go over those of the channel, in lower case, with lists and binary values", async () => {
  await overBoth(async (transport, _machine, kind) => {
    const headers = new Metadata([["X-Own", "1"], ["x-both", "call"], ["x-list", "a"], ["x-list", "b"], [
      "x-bytes-bin",
      "AAECAw",
    ]]);
    const { metadata } = await createClient(ProbeService, transport).inspect({}, { headers });
    const values = (name: string) => metadata[name]?.values;
    assert.deepEqual([values("x-own"), values("x-channel"), values("x-both")], [["1"], ["2"], ["call"]]);
    assert.deepEqual(values("x-bytes-bin")?.map((text) => text.replace(/=+$/, "")), ["AAECAw"]);
    if (kind === "webrtc") assert.deepEqual(values("x-list"), ["a", "b"]);
    else assert.equal(values("x-list")?.join(", "), "a, b"); // HTTP may join them
  }, { headers: { "X-Channel": "2", "x-both": "channel" } });
});

test("row 45: an answer has a header, messages and a trailer", async () => {
  await overBoth(async (channel) => {
    const stream = await channel.stream(
      ProbeService.method.fail,
      undefined,
      undefined,
      undefined,
      items({ after: 2 }),
    );
    assert.match(stream.header.get("x-head") ?? "", /^h1, ?h2$/);
    assert.equal((await Array.fromAsync(stream.message)).length, 2);
    assert.equal(stream.trailer.get("x-trail"), "t1");
    const unary = await channel.unary(ProbeService.method.failUnary, undefined, undefined, undefined, {});
    assert.match(unary.header.get("x-head") ?? "", /^h1, ?h2$/);
    assert.equal(unary.trailer.get("x-trail"), "t1");
    assert.equal(unary.message.$typeName, "viam_dial.probe.v1.Payload");
  });
});

test("row 46: close() ends calls in flight, and may be called again", async () => {
  for (const [, way] of WAYS) {
    await using machine = await startMachine();
    const { channel } = await dial(machine.address, { ...optionsFor(machine), ...way });
    const probe = createClient(ProbeService, channel);
    const stream = probe.hang({})[Symbol.asyncIterator]();
    await stream.next();
    const ends = [failureOf(stream.next()), failureOf(probe.hangUnary({}))];
    await Promise.all([channel.close(), channel.close()]);
    await channel.close();
    for (const error of [...await Promise.all(ends), await failureOf(probe.echo({}))]) {
      assert.ok(error instanceof ConnectError, String(error));
      assert.ok([Code.Canceled, Code.Unavailable].includes(error.code), String(error));
    }
  }
});
