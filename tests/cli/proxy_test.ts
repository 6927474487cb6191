import assert from "node:assert/strict";
import net from "node:net";
import { listenOn } from "../../lib/cli/proxy.ts";
import { startProxy } from "../../lib/cli/proxy/server.ts";
import { mayCall } from "../../lib/cli/proxy/origins.ts";
import { Base64Reader } from "../../lib/server/wire.ts";
import { startMachine } from "../../lib/testing/mod.ts";
import { dial, dialDirect, DialOptions } from "../../mod.ts";
import { Code, createClient } from "@connectrpc/connect";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { type Opened, testTransport } from "../transport/suite.ts";
import { environmentOf, interrupt, startCommand } from "./command_line.ts";

async function open(far: DialOptions, near: DialOptions): Promise<Opened> {
  const machine = await startMachine();
  const opened: { close(): Promise<void> }[] = [machine];
  const close = async () => {
    for (const each of opened.toReversed()) await each.close();
  };
  try {
    const channel = await dial(machine.address, {
      ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
      insecure: true,
      ...far,
    });
    opened.push(channel);
    const proxy = await startProxy(channel, { hostname: "127.0.0.1", port: 0, allowedOrigins: [] });
    opened.push(proxy);
    const transport = await dialDirect(`127.0.0.1:${proxy.port}`, { insecure: true, ...near });
    opened.push(transport);
    return { transport, close };
  } catch (error) {
    await close();
    throw error;
  }
}

testTransport({
  name: "through the proxy, native gRPC to WebRTC",
  paths: ["webrtc"],
  keepsLists: false,
  open: () => open({}, { protocol: "grpc" }),
});

testTransport({
  name: "through the proxy, gRPC-Web to WebRTC",
  paths: ["webrtc"],
  keepsLists: false,
  open: () => open({}, {}),
});

testTransport({
  name: "through the proxy, native gRPC on both sides",
  paths: ["grpc"],
  keepsLists: false,
  open: () => open({ disableWebrtc: true }, { protocol: "grpc" }),
});

for (const protocol of ["grpc", "grpc-web"] as const) {
  test(`the proxy reads requests that are compressed with gzip, ${protocol}`, async () => {
    const { transport, close } = await open({}, { protocol, compression: "gzip" });
    try {
      const probe = createClient(ProbeService, transport);
      const data = new Uint8Array(100_000).fill(7);
      assert.deepEqual((await probe.echo({ data })).data, data);
      const summary = await probe.upload((async function* () {
        for (let sent = 0; sent < 3; sent++) yield { data };
      })());
      assert.equal(summary.bytes, 300_000n);
    } finally {
      await close();
    }
  });
}

test("the proxy refuses unknown compression, and messages whose compression flag is wrong", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using channel = await dial(machine.address, { insecure: true });
  const proxy = await startProxy(channel, { hostname: "127.0.0.1", port: 0, allowedOrigins: [] });
  const statusOf = async (encoding: string, frame: number[]) => {
    const response = await fetch(`http://127.0.0.1:${proxy.port}/viam_dial.probe.v1.ProbeService/Echo`, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+proto", "grpc-encoding": encoding },
      body: Uint8Array.from(frame),
    });
    assert.equal(response.headers.get("grpc-accept-encoding"), "identity,gzip");
    return /grpc-status: (\d+)/.exec(await response.text())?.[1];
  };
  try {
    assert.equal(await statusOf("br", [0, 0, 0, 0, 0]), `${Code.Unimplemented}`);
    assert.equal(await statusOf("identity", [1, 0, 0, 0, 0]), `${Code.Internal}`);
    assert.equal(await statusOf("gzip", [1, 0, 0, 0, 2, 1, 2]), `${Code.InvalidArgument}`);
    assert.equal(await statusOf("gzip", [0, 0, 0, 0, 0]), "0");
  } finally {
    await proxy.close();
  }
});

test("the proxy speaks gRPC-Web in base64", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using channel = await dial(machine.address, { insecure: true });
  const proxy = await startProxy(channel, { hostname: "127.0.0.1", port: 0, allowedOrigins: [] });
  const ask = async (method: string, text: string) => {
    const response = await fetch(`http://127.0.0.1:${proxy.port}/viam_dial.probe.v1.ProbeService/${method}`, {
      method: "POST",
      headers: { "content-type": "application/grpc-web-text" },
      body: text,
    });
    assert.equal(response.headers.get("content-type"), "application/grpc-web-text+proto");
    return new TextDecoder().decode(new Base64Reader().push(new Uint8Array(await response.arrayBuffer())));
  };
  try {
    // A Payload of three bytes.
    const frame = "\0\0\0\0\x05\x0a\x03abc";
    const echoed = await ask("Echo", btoa(frame));
    assert.ok(echoed.startsWith(frame), JSON.stringify(echoed));
    assert.match(echoed, /grpc-status: 0/);
    const exchanged = await ask("Exchange", btoa(frame) + btoa(frame));
    assert.ok(exchanged.startsWith(frame + frame), JSON.stringify(exchanged));
    assert.match(await ask("Echo", "AAA"), new RegExp(`grpc-status: ${Code.InvalidArgument}`));
  } finally {
    await proxy.close();
  }
});

test("the proxy passes grpc-timeout on, the shortest too, and refuses others as InvalidArgument", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using channel = await dial(machine.address, { insecure: true });
  const proxy = await startProxy(channel, { hostname: "127.0.0.1", port: 0, allowedOrigins: [] });
  const statusWith = async (timeout: string) => {
    const response = await fetch(`http://127.0.0.1:${proxy.port}/viam_dial.probe.v1.ProbeService/HangUnary`, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+proto", "grpc-timeout": timeout },
      body: new Uint8Array(5),
    });
    return Number(/grpc-status: (\d+)/.exec(await response.text())?.[1]);
  };
  try {
    for (const timeout of ["0m", "1n", "20m", "99999u"]) {
      assert.equal(await statusWith(timeout), Code.DeadlineExceeded, timeout);
    }
    for (const timeout of ["5", "m", "123456789m", "-1m", "1.5S", "1s"]) {
      assert.equal(await statusWith(timeout), Code.InvalidArgument, timeout);
    }
  } finally {
    await proxy.close();
  }
});

test("mayCall() lets programs and pages of this computer call, others only by name", () => {
  const table: readonly (readonly [origin: string | undefined, allowed: readonly string[], may: boolean])[] =
    [
      [undefined, [], true],
      ["http://localhost:5173", [], true],
      ["https://app.localhost", [], true],
      ["http://127.0.0.1:8000", [], true],
      ["http://[::1]:8000", [], true],
      ["http://0.0.0.0:8000", [], true],
      ["http://10.0.0.1:8000", [], false],
      ["https://evil.example", [], false],
      ["http://127.0.0.1.evil.example", [], false],
      ["http://localhost.evil.example", [], false],
      ["null", [], false],
      ["https://my.example", ["https://my.example"], true],
      ["https://my.example:444", ["https://my.example"], false],
      ["https://any.example", ["*"], true],
    ];
  for (const [origin, allowed, may] of table) assert.equal(mayCall(origin, allowed), may, String(origin));
}, { pure: true });

test("listenOn() reads ports, on loopback, and hosts with ports", () => {
  assert.deepEqual(listenOn("8080"), { hostname: "127.0.0.1", port: 8080 });
  assert.deepEqual(listenOn("0.0.0.0:80"), { hostname: "0.0.0.0", port: 80 });
  assert.deepEqual(listenOn("0.0.0.0:0"), { hostname: "0.0.0.0", port: 0 });
  assert.deepEqual(listenOn("[::1]:80"), { hostname: "::1", port: 80 });
  for (const text of ["", "x", "localhost", "70000", "http://localhost:80", "-1"]) {
    assert.throws(() => listenOn(text), /--listen is/, text);
  }
}, { pure: true });

test("the proxy answers pages of this computer, and refuses others without a call to the machine", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using channel = await dial(machine.address, { insecure: true });
  const proxy = await startProxy(channel, {
    hostname: "127.0.0.1",
    port: 0,
    allowedOrigins: ["https://my.example"],
  });
  try {
    const url = `http://127.0.0.1:${proxy.port}/viam_dial.probe.v1.ProbeService/Echo`;
    const ask = async (method: string, origin: string) => {
      const response = await fetch(url, {
        method,
        headers: {
          origin,
          "content-type": "application/grpc-web+proto",
          ...method === "OPTIONS" ? { "access-control-request-headers": "content-type,x-grpc-web" } : {},
        },
        ...method === "POST" ? { body: new Uint8Array(5) } : {},
      });
      const body = new Uint8Array(await response.arrayBuffer());
      return { status: response.status, headers: response.headers, body };
    };
    for (const origin of ["http://localhost:5173", "https://my.example"]) {
      const preflight = await ask("OPTIONS", origin);
      assert.equal(preflight.status, 204);
      assert.equal(preflight.headers.get("access-control-allow-headers"), "content-type,x-grpc-web");
      const { status, headers, body } = await ask("POST", origin);
      assert.deepEqual([status, headers.get("access-control-allow-origin")], [200, origin]);
      assert.match(new TextDecoder().decode(body), /grpc-status: 0/);
    }
    const before = machine.calls.webrtc;
    for (const method of ["OPTIONS", "POST"]) {
      assert.equal((await ask(method, "https://evil.example")).status, 403);
    }
    assert.equal(machine.calls.webrtc, before);
    const page = await fetch(`http://127.0.0.1:${proxy.port}/`);
    assert.match(await page.text(), /gRPC-Web/);
    assert.equal(
      (await fetch(url, { method: "POST", body: "{}" }).then((r) => (r.body?.cancel(), r))).status,
      415,
    );
  } finally {
    await proxy.close();
  }
});

test("viam-dial proxy outlives an outage of its machine", async () => {
  const options = { auth: "none" } as const;
  const before = await startMachine(options);
  const { port, address } = before;
  try {
    await using command = await startCommand(["proxy", address, "--insecure", "--no-mdns"]);
    const local = / is at (127\.0\.0\.1:\d+), as gRPC/.exec(await command.line())![1]!;
    await using channel = await dialDirect(local, { insecure: true });
    const probe = createClient(ProbeService, channel);
    const data = Uint8Array.of(1, 2, 3);
    assert.deepEqual((await probe.echo({ data })).data, data);
    await before.close();
    await assert.rejects(probe.echo({ data }, { timeoutMs: 500 }));
    await using _after = await startMachine({ ...options, port });
    assert.deepEqual((await probe.echo({ data }, { timeoutMs: 30_000 })).data, data);
    const { code, stderr } = await interrupt(command);
    assert.equal(code, 0);
    assert.match(stderr, /^viam-dial: lost the connection to .*\nviam-dial: connected to .* again\n$/);
  } finally {
    await before.close();
  }
}, { timeoutMs: 120_000 });

test(
  "viam-dial proxy runs on loopback until it is interrupted, and warns when it listens elsewhere",
  async () => {
    await using machine = await startMachine();
    const env = environmentOf(machine);
    await using command = await startCommand(["proxy", "--insecure"], { env });
    const first = await command.line();
    const port = Number(/ is at 127\.0\.0\.1:(\d+), as gRPC/.exec(first)![1]);
    const socket = net.connect(port, "127.0.0.1");
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    socket.destroy();
    const { code, stderr } = await interrupt(command);
    assert.deepEqual([code, stderr], [0, ""]);

    await using wide = await startCommand(["proxy", "--insecure", "--listen", "0.0.0.0:0", "--json"], {
      env,
    });
    const { address } = JSON.parse(await wide.line());
    assert.match(address, /^0\.0\.0\.0:\d+$/);
    const ended = await interrupt(wide);
    assert.match(ended.stderr, /^whoever can reach 0\.0\.0\.0:\d+ calls .* with your credentials\n$/);
  },
  { timeoutMs: 120_000 },
);
