import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { AuthenticationError, dial, DialOptions } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { type Opened, testTransport } from "../transport/suite.ts";
import { startGoMachine } from "./go_machine.ts";
import { missing } from "./requirements.ts";

const skip = missing("go");
const API_KEY = "a-key-for-tests";
const API_KEY_ID = "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c";

async function open(flags: string[], options: DialOptions): Promise<Opened> {
  const machine = await startGoMachine(...flags);
  try {
    const transport = await dial(machine.address, options);
    return {
      transport,
      async close() {
        await transport.close();
        await machine[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await machine[Symbol.asyncDispose]();
    throw error;
  }
}

testTransport({
  name: "Go peer over WebRTC",
  paths: ["webrtc"],
  keepsLists: true,
  skip,
  open: () => open([], { insecure: true }),
});

testTransport({
  name: "Go peer directly",
  paths: ["grpc"],
  keepsLists: true,
  skip,
  open: () => open([], { insecure: true, disableWebrtc: true }),
});

testTransport({
  name: "Go peer that speaks native gRPC only",
  paths: ["grpc"],
  keepsLists: true,
  skip,
  open: () => open(["-protocols", "grpc"], { insecure: true, disableWebrtc: true }),
});

async function openSecure(options: DialOptions): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), "viam-dial-"));
  const caFile = join(folder, "ca.pem");
  try {
    const machine = await startGoMachine("-tls", "-ca-out", caFile);
    const ca = await readFile(caFile, "utf8");
    const transport = await dial(machine.address, { ...options, tls: { ca } });
    return {
      transport,
      async close() {
        await transport.close();
        await machine[Symbol.asyncDispose]();
      },
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

testTransport({
  name: "Go peer over TLS",
  paths: ["grpc"],
  keepsLists: true,
  skip,
  open: () => openSecure({ disableWebrtc: true }),
});

testTransport({
  name: "Go peer over WebRTC, signaled over TLS",
  paths: ["webrtc"],
  isAsAnother: true,
  keepsLists: true,
  skip,
  open: () => openSecure({}),
});

test("dial() authenticates to the Go peer with an API key, on both paths", async () => {
  await using machine = await startGoMachine("-api-key", API_KEY, "-api-key-id", API_KEY_ID);
  for (const disableWebrtc of [false, true]) {
    await using channel = await dial(machine.address, {
      ...DialOptions.withApiKey(API_KEY, API_KEY_ID),
      insecure: true,
      disableWebrtc,
    });
    const { path } = await createClient(ProbeService, channel).inspect({});
    assert.equal(path, disableWebrtc ? "grpc" : "webrtc");
    const started = performance.now();
    await assert.rejects(
      dial(machine.address, {
        ...DialOptions.withApiKey("wrong", API_KEY_ID),
        insecure: true,
        disableWebrtc,
      }),
      (error: unknown) => error instanceof AuthenticationError,
    );
    assert.ok(performance.now() - started < 5_000);
  }
}, { skip });

test("dial() goes directly to a Go peer that does not signal", async () => {
  await using machine = await startGoMachine("-no-webrtc");
  await using channel = await dial(machine.address, { insecure: true });
  assert.equal(channel.kind, "direct");
  assert.equal((await createClient(ProbeService, channel).inspect({})).path, "grpc");
}, { skip });
