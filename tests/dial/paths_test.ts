import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { EchoService, type Machine, type MachineOptions, startMachine } from "../../lib/testing/mod.ts";
import { dial, dialDirect, DialOptions, type ViamChannel } from "../../mod.ts";
import { test } from "../harness.ts";

const CONFIG = "/proto.rpc.webrtc.v1.SignalingService/OptionalWebRTCConfig";

function keyOf(machine: Machine): DialOptions {
  return DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
}

async function assertEchoes(channel: ViamChannel): Promise<void> {
  const { message } = await createClient(EchoService, channel).echo({ message: "hello" });
  assert.equal(message, "hello");
}

/** Calls to a method, over HTTP of any kind. */
function callsOverHttp(machine: Machine, path: string): number {
  const { grpc, "grpc-web": grpcWeb } = machine.callsTo(path);
  return grpc + grpcWeb;
}

test("dial() reaches a machine through another signaling server, by the machine's name there", async () => {
  await using cloud = await startMachine({ webrtc: "signaling-only" });
  const signaling = {
    address: cloud.url,
    hosts: ["robot-main.example"],
    credentials: { type: "api-key", entity: cloud.apiKeyId, payload: cloud.apiKey },
  };
  await using robot = await startMachine({ signaling });
  await using channel = await dial("robot-main.example", {
    ...keyOf(cloud),
    webrtc: { signalingAddress: cloud.address, signalingInsecure: true },
  });
  await assertEchoes(channel);
  assert.equal(channel.kind, "webrtc");
  assert.equal(robot.callsTo("/proto.rpc.examples.echo.v1.EchoService/Echo").webrtc, 1);
  assert.equal(cloud.callsTo("/proto.rpc.examples.echo.v1.EchoService/Echo").webrtc, 0);
  // The machine waits for offers meanwhile, and answers the next one with an engine of its own.
  const failures: string[] = [];
  channel.addEventListener("reconnectfailed", ({ detail }) => failures.push(detail.error.message));
  const back = new Promise((resolve) => channel.addEventListener("connected", resolve));
  robot.dropConnections();
  await back;
  assert.deepEqual(failures, []);
  await assertEchoes(channel);
});

const unsignaled: readonly [why: string, options: MachineOptions][] = [
  ["a machine that does no signaling", { webrtc: false }],
  ["a signaling server that has no configuration", { faults: { signaling: { noConfig: true } } }],
  ["a signaling server that does not know the host", { hosts: ["somebody.else"] }],
];

for (const [why, options] of unsignaled) {
  test(`dial() goes directly to ${why}`, async () => {
    await using machine = await startMachine(options);
    await using channel = await dial(machine.address, { ...keyOf(machine), insecure: true });
    await assertEchoes(channel);
    assert.equal(channel.kind, "direct");
    assert.ok(channel.timeline.some(({ detail }) => detail.startsWith("no signaler for")));
  });
}

test("dial() goes directly to localhost, and over WebRTC to 127.0.0.1, as Python does", async () => {
  await using machine = await startMachine();
  for (const [host, kind] of [["localhost", "direct"], ["127.0.0.1", "webrtc"]] as const) {
    await using channel = await dial(`${host}:${machine.port}`, { ...keyOf(machine), insecure: true });
    await assertEchoes(channel);
    assert.equal(channel.kind, kind);
  }
});

test("dial() takes the scheme of an address for the choice of TLS", async () => {
  await using machine = await startMachine();
  await using channel = await dial(`http://${machine.address}`, keyOf(machine));
  await assertEchoes(channel);
  await using again = await dial(new URL(machine.url), keyOf(machine));
  await assertEchoes(again);
});

test("dial() takes an IPv6 address in brackets", async () => {
  await using machine = await startMachine({ hostname: "::1" });
  for (const disableWebrtc of [true, false]) {
    await using channel = await dial(`[::1]:${machine.port}`, {
      ...keyOf(machine),
      insecure: true,
      disableWebrtc,
    });
    await assertEchoes(channel);
  }
});

test("dial() with disableWebrtc and dialDirect() do no signaling at all", async () => {
  await using machine = await startMachine();
  await using channel = await dial(machine.address, {
    ...keyOf(machine),
    insecure: true,
    disableWebrtc: true,
  });
  await assertEchoes(channel);
  await using direct = await dialDirect(machine.address, { ...keyOf(machine), insecure: true });
  assert.equal(direct.kind, "direct");
  assert.equal(callsOverHttp(machine, CONFIG), 0);
});
