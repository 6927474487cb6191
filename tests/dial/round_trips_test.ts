/** Connections and calls that a dial costs, counted and not timed (protocol §2.9). */

import assert from "node:assert/strict";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { EchoService, type Machine, startMachine } from "../../lib/testing/mod.ts";
import { AuthenticationError, dial, DialOptions, type DialPhase, type ViamChannel } from "../../mod.ts";
import { makeCertificates } from "../certificates.ts";
import { runtime, test } from "../harness.ts";
import { eventually } from "./leaks.ts";
import { startRecorder } from "./recorder.ts";

const HELLO = "/viam_dial.v1.Hello/Ask";
const AUTHENTICATE = "/proto.rpc.v1.AuthService/Authenticate";
const CONFIG = "/proto.rpc.webrtc.v1.SignalingService/OptionalWebRTCConfig";
const CALL = "/proto.rpc.webrtc.v1.SignalingService/Call";

const WAYS = [
  ["directly", { disableWebrtc: true }],
  ["directly, as native gRPC", { disableWebrtc: true, protocol: "grpc" }],
  ["through signaling", {}],
] as const;

const DOWNGRADES = { allowInsecureDowngrade: true, allowInsecureWithCredsDowngrade: true };

function keyOf(machine: Machine): DialOptions {
  return DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
}

/** Calls over HTTP so far, in the order of the methods. */
function calls(machine: Machine, ...paths: string[]): number[] {
  return paths.map((path) => machine.callsTo(path).grpc + machine.callsTo(path)["grpc-web"]);
}

/** The steps of a dial that say their round trips. */
function roundTrips({ timeline }: ViamChannel): (readonly [DialPhase, number])[] {
  return timeline.flatMap(({ phase, roundTrips }) => roundTrips === undefined ? [] : [[phase, roundTrips]]);
}

async function assertEchoes(channel: ViamChannel): Promise<void> {
  const { message } = await createClient(EchoService, channel).echo({ message: "hello" });
  assert.equal(message, "hello");
}

for (const [way, options] of WAYS) {
  const signals = !("disableWebrtc" in options);

  test(`dial() ${way} over TLS asks with Authenticate what the server speaks, on one connection`, async () => {
    const { ca, cert, key, remove } = await makeCertificates();
    await using _removed = { [Symbol.asyncDispose]: remove };
    await using machine = await startMachine({ tls: { cert, key } });
    for (const flags of [{}, DOWNGRADES]) {
      await using recorder = await startRecorder({ kind: "forward", port: machine.port });
      const before = calls(machine, HELLO, AUTHENTICATE, CONFIG);
      await using channel = await dial(recorder.address, {
        ...options,
        ...flags,
        ...keyOf(machine),
        tls: { ca },
      });
      const after = calls(machine, HELLO, AUTHENTICATE, CONFIG);
      const expected = signals ? [0, 1, 1] : [0, 1, 0];
      assert.deepEqual(after.map((count, index) => count - before[index]!), expected);
      assert.equal(recorder.received.length, 1, "connections");
      assert.deepEqual(
        roundTrips(channel),
        signals ? [["connect", 3], ["config", 1], ["signaling", 1], ["channel", 5]] : [["connect", 3]],
      );
      await assertEchoes(channel);
    }
  });

  test(`dial() ${way} in plaintext asks what the server speaks before it sends a key, on one connection`, async () => {
    await using machine = await startMachine();
    await using recorder = await startRecorder({ kind: "forward", port: machine.port });
    await using channel = await dial(recorder.address, { ...options, ...keyOf(machine), insecure: true });
    const expected = signals ? [1, 1, 1] : [1, 1, 0];
    assert.deepEqual(calls(machine, HELLO, AUTHENTICATE, CONFIG), expected);
    // Deno's fetch may not have taken the connection of the answer back when it is asked for the next.
    assert.deepEqual(roundTrips(channel).slice(0, 2), [["connect", 2], ["authenticate", 1]]);
    const mayOpenTwo = runtime === "deno" && options === WAYS[0][1];
    assert.ok(recorder.received.length <= (mayOpenTwo ? 2 : 1), "connections");
    await assertEchoes(channel);
  });

  test(`dial() ${way} over TLS tells a wrong key, and a server without keys, by the first answer`, async () => {
    const { ca, cert, key, remove } = await makeCertificates();
    await using _removed = { [Symbol.asyncDispose]: remove };
    const tls = { cert, key };
    await using strict = await startMachine({ tls });
    await using open = await startMachine({ tls, auth: "none" });
    for (const machine of [strict, open]) {
      await using recorder = await startRecorder({ kind: "forward", port: machine.port });
      const error = await dial(recorder.address, {
        ...options,
        ...DialOptions.withApiKey("a-wrong-key", crypto.randomUUID()),
        tls: { ca },
      }).then(() => undefined, (error) => error);
      assert.ok(error instanceof AuthenticationError, String(error));
      const { code } = ConnectError.from(error.cause);
      assert.equal(code, machine === strict ? Code.Unauthenticated : Code.Unimplemented);
      assert.deepEqual(calls(machine, HELLO, AUTHENTICATE, CONFIG, CALL), [0, 1, 0, 0]);
      assert.equal(recorder.received.length, 1, "connections");
    }
  });

  test(`dial() ${way} with a token needs no Authenticate`, async () => {
    const { ca, cert, key, remove } = await makeCertificates();
    await using _removed = { [Symbol.asyncDispose]: remove };
    await using machine = await startMachine({ tls: { cert, key }, auth: "none" });
    await using channel = await dial(machine.address, { ...options, accessToken: "mine", tls: { ca } });
    assert.deepEqual(calls(machine, HELLO, AUTHENTICATE), [1, 0]);
    await assertEchoes(channel);
  });
}

test("dial() through signaling goes by gRPC-Web to a server of HTTP/1.1 alone, inside TLS", async () => {
  const { ca, cert, key, remove } = await makeCertificates();
  await using _removed = { [Symbol.asyncDispose]: remove };
  await using machine = await startMachine();
  await using server = await startRecorder({ kind: "forward", port: machine.port }, {
    tls: { cert, key, ALPNProtocols: ["http/1.1"] },
  });
  await using channel = await dial(server.address, { ...keyOf(machine), tls: { ca } });
  assert.equal(channel.kind, "webrtc");
  assert.deepEqual(calls(machine, HELLO, AUTHENTICATE, CONFIG), [0, 1, 1]);
  assert.equal(machine.calls.grpc, 0);
  await assertEchoes(channel);
});

/** A machine and its signaling server, whose connections are recorded. */
async function openSignaled() {
  const cloud = await startMachine({ webrtc: "signaling-only" });
  const robot = await startMachine({
    signaling: {
      address: cloud.url,
      hosts: ["robot-main.example"],
      credentials: { type: "api-key", entity: cloud.apiKeyId, payload: cloud.apiKey },
    },
  });
  const recorder = await startRecorder({ kind: "forward", port: cloud.port });
  const channel = await dial("robot-main.example", {
    ...keyOf(cloud),
    webrtc: { signalingAddress: recorder.address, signalingInsecure: true },
  });
  return {
    cloud,
    recorder,
    channel,
    /** Lets the machine end the channel's connection, and waits for the next. */
    async reconnected() {
      const back = new Promise((resolve) => channel.addEventListener("connected", resolve, { once: true }));
      robot.dropConnections();
      await back;
      await assertEchoes(channel);
    },
    async [Symbol.asyncDispose]() {
      await channel.close();
      await recorder[Symbol.asyncDispose]();
      await robot.close();
      await cloud.close();
    },
  };
}

test("a reconnect goes by the signaling connection from before, and asks for neither protocol nor token", async () => {
  await using opened = await openSignaled();
  const { cloud, recorder, channel, reconnected } = opened;
  const [hello, authenticate, config] = calls(cloud, HELLO, AUTHENTICATE, CONFIG);
  await reconnected();
  assert.deepEqual(calls(cloud, HELLO, AUTHENTICATE, CONFIG), [hello, authenticate, config! + 1]);
  assert.equal(recorder.received.length, 1, "connections");
  recorder.drop();
  await reconnected();
  assert.deepEqual(calls(cloud, AUTHENTICATE, CONFIG), [authenticate, config! + 2]);
  assert.equal(recorder.received.length, 2, "connections");
  await channel.close();
  await eventually(() => recorder.open === 0, () => `${recorder.open} connections are open`);
});

test("a reconnect makes another signaling connection where the one from before is silent, and then ends", async () => {
  await using opened = await openSignaled();
  const { cloud, recorder, channel, reconnected } = opened;
  const [authenticate] = calls(cloud, AUTHENTICATE);
  recorder.mute();
  channel.addEventListener("reconnecting", ({ detail: { delayMs } }) => {
    // The offer has been sent on it.
    setTimeout(() => recorder.drop(), delayMs + 100);
  }, { once: true });
  await reconnected();
  assert.deepEqual(calls(cloud, AUTHENTICATE), [authenticate]);
  assert.ok(recorder.received.length >= 2, "connections");
});

test("a channel that does not reconnect keeps no signaling connection", async () => {
  await using machine = await startMachine();
  await using recorder = await startRecorder({ kind: "forward", port: machine.port });
  await using _channel = await dial(recorder.address, {
    ...keyOf(machine),
    insecure: true,
    maxReconnectAttempts: 0,
  });
  await eventually(() => recorder.open === 0, () => `${recorder.open} connections are open`);
});
