/** Unix sockets: always direct, in the clear, and whatever else a dial does. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { ProbeService, startMachine } from "../../lib/testing/mod.ts";
import {
  AuthenticationError,
  dial,
  dialDirect,
  DialError,
  DialOptions,
  DialTimeoutError,
} from "../../mod.ts";
import { runCommandProcess } from "../cli/command_line.ts";
import { runtime, test } from "../harness.ts";
import { runProgram } from "../process/child.ts";

/** A Unix socket in front of a port; without one, it accepts and says nothing. */
async function listenAt(path: string, port: number | undefined): Promise<AsyncDisposable> {
  const sockets = new Set<net.Socket>();
  const track = (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  };
  const server = net.createServer((socket) => {
    track(socket);
    if (port === undefined) return void socket.resume();
    const inner = net.connect({ host: "127.0.0.1", port });
    track(inner);
    socket.pipe(inner);
    inner.pipe(socket);
    socket.on("close", () => inner.destroy());
    inner.on("close", () => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "viam-dial-unix-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

if (runtime === "deno") {
  test("on Deno a Unix socket needs --allow-net, and --allow-read and --allow-write of its path", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "machine.sock");
    await using machine = await startMachine({ auth: "none" });
    await using _socket = await listenAt(path, machine.port);
    const dialing = async (...files: string[]) => {
      const permissions = ["--allow-net", ...files];
      const args = [JSON.stringify({ address: `unix:${path}`, options: {} })];
      return JSON.parse(
        (await runProgram("tests/process/programs/dial_and_report.ts", { permissions, args })).stdout,
      );
    };
    assert.deepEqual(await dialing(`--allow-read=${path}`, `--allow-write=${path}`), { connected: true });
    assert.equal((await dialing(`--allow-read=${path}`)).flag, "--allow-write");
    assert.equal((await dialing(`--allow-write=${path}`)).flag, "--allow-read");
    const doctor = await runCommandProcess(["doctor", `unix:${path}`, "--json"], {
      permissions: ["--allow-net", `--allow-read=${path}`],
    });
    assert.equal(doctor.code, 5);
    assert.match(
      JSON.parse(doctor.stdout).sentence,
      /does not permit write to open the Unix socket; run .*--allow-write\.$/,
    );
  });
}

async function* two() {
  yield { data: Uint8Array.of(1) };
  yield { data: Uint8Array.of(2) };
}

test("calls of every kind go through a Unix socket, with authentication", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "machine.sock");
  await using machine = await startMachine();
  await using _socket = await listenAt(path, machine.port);
  const key = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
  for (const address of [`unix:${path}`, `unix://${path}`, path]) {
    for (const start of [dial, dialDirect]) {
      await using channel = await start(address, key);
      assert.equal(channel.kind, "direct");
      assert.deepEqual([channel.path.protocol, channel.path.remote], ["grpc over HTTP/2", path]);
      const probe = createClient(ProbeService, channel);
      assert.deepEqual((await probe.echo({ data: Uint8Array.of(7) })).data, Uint8Array.of(7));
      let received = 0;
      for await (const _ of probe.download({ size: 10, count: 3 })) received++;
      assert.equal(received, 3);
      assert.equal((await probe.upload(two())).count, 2);
      for await (const _ of probe.exchange(two())) received++;
      assert.equal(received, 5);
    }
  }
  await assert.rejects(
    dial(`unix:${path}`, DialOptions.withApiKey("another-key", machine.apiKeyId)),
    AuthenticationError,
  );
  assert.equal(machine.calls["grpc-web"], 0);
});

test("the error for a nonexistent Unix socket names it", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "nobody.sock");
  await assert.rejects(dial(`unix:${path}`), (error) => {
    assert.ok(error instanceof DialError && error.phase === "connect", String(error));
    assert.ok(error.message.includes(path), error.message);
    return true;
  });
});

test("a Unix socket cannot be reached by gRPC-Web, and the error says so", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "machine.sock");
  await using machine = await startMachine({ auth: "none" });
  await using _socket = await listenAt(path, machine.port);
  await assert.rejects(dial(`unix:${path}`, { protocol: "grpc-web" }), (error) => {
    assert.ok(error instanceof DialError, String(error));
    assert.match(error.message, /needs node:http2, which speaks native gRPC/);
    return true;
  });
});

test("timeoutMs and signal end a dial of a silent Unix socket", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "silent.sock");
  await using _socket = await listenAt(path, undefined);
  await assert.rejects(dial(`unix:${path}`, { timeoutMs: 300 }), DialTimeoutError);
  const reason = new Error("enough");
  const abort = new AbortController();
  setTimeout(() => abort.abort(reason), 100);
  await assert.rejects(dial(`unix:${path}`, { signal: abort.signal }), (error) => error === reason);
});
