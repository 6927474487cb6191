import assert from "node:assert/strict";
import { createServer } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { EchoService, type Machine, startMachine } from "../../lib/testing/mod.ts";
import {
  AuthenticationError,
  dial,
  dialDirect,
  DialError,
  type DialEvent,
  DialOptions,
  DialOptionsError,
  HostOfflineError,
  IceError,
  SignalingError,
} from "../../mod.ts";
import { watchDelays } from "../delays.ts";
import { test } from "../harness.ts";

/** Longest wait for the report of a mistake, in milliseconds. */
const AT_ONCE_MS = 1_000;

const ways: readonly [name: string, options: DialOptions][] = [
  ["over WebRTC", { insecure: true }],
  ["directly", { insecure: true, disableWebrtc: true }],
];

/** The error of a dial that has to fail, and the time that it took. */
async function failure(dialing: Promise<AsyncDisposable>): Promise<{ error: unknown; tookMs: number }> {
  const start = performance.now();
  using delays = watchDelays();
  try {
    await (await dialing)[Symbol.asyncDispose]();
  } catch (error) {
    return { error, tookMs: performance.now() - start - delays.totalMs };
  }
  assert.fail("it did not fail");
}

function assertCause(error: unknown, code: Code): ConnectError {
  assert.ok(error instanceof DialError, `no DialError: ${error}`);
  assert.ok(error.cause instanceof ConnectError, `its cause is no ConnectError: ${error.cause}`);
  assert.equal(error.cause.code, code);
  return error.cause;
}

test("dial() and dialDirect() refuse what they cannot use before they do anything", async () => {
  const events: DialEvent[] = [];
  const onEvent = (event: DialEvent) => void events.push(event);
  const unusable: readonly [address: string, options: object, option: string][] = [
    ["", { onEvent }, "address"],
    ["robot:0", { onEvent }, "address"],
    ["robot:65536", { onEvent }, "address"],
    ["ro bot", { onEvent }, "address"],
    ["ftp://robot", { onEvent }, "address"],
    ["robot", { onEvent, timeout: 5 }, "timeout"],
    ["robot", { onEvent, timeoutMs: "5" }, "timeoutMs"],
    ["robot", { onEvent, accessToken: "two\nlines" }, "accessToken"],
    ["robot", { onEvent, accessToken: "smörgås" }, "accessToken"],
  ];
  for (const [address, options, option] of unusable) {
    for (const start of [dial, dialDirect]) {
      const { error } = await failure(start(address, options as DialOptions));
      assert.ok(error instanceof DialOptionsError, `no DialOptionsError: ${error}`);
      assert.deepEqual(error.problems.map((problem) => problem.option), [option]);
    }
  }
  assert.deepEqual(events, []);
});

for (const [way, options] of ways) {
  test(`dial() ${way} fails at once with a wrong key, and does not show it`, async () => {
    await using machine = await startMachine();
    const key = "a-key-that-opens-nothing";
    const { error, tookMs } = await failure(
      dial(machine.address, { ...options, ...DialOptions.withApiKey(key, machine.apiKeyId) }),
    );
    assert.ok(error instanceof AuthenticationError, `no AuthenticationError: ${error}`);
    assertCause(error, Code.Unauthenticated);
    assert.equal(error.phase, "authenticate");
    assert.ok(!error.message.includes(key));
    assert.ok(tookMs < AT_ONCE_MS, `it took ${tookMs} ms`);
  });

  test(`dial() ${way} says at once that a dead port refuses the connection, and where`, async () => {
    for (const address of [`127.0.0.1:${await deadPort()}`, "127.0.0.1:9"]) {
      const { error, tookMs } = await failure(dial(address, options));
      assertCause(error, Code.Unavailable);
      assert.ok(error instanceof DialError);
      assert.match(error.message, new RegExp(`connection refused: ${address.replaceAll(".", "\\.")}`));
      assert.equal(error.phase, "connect");
      assert.ok(error.timeline.every(({ phase }) => phase !== "tls"), "nobody is there to ask for TLS");
      assert.ok(tookMs < AT_ONCE_MS, `it took ${tookMs} ms`);
    }
  });

  test(`dial() ${way} works on a port that fetch refuses`, async () => {
    await using machine = await onRefusedPort();
    await using channel = await dial(machine.address, {
      ...options,
      ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
    });
    const { message } = await createClient(EchoService, channel).echo({ message: "hello" });
    assert.equal(message, "hello");
  });
}

test("dial() passes on the status of a machine that is offline", async () => {
  await using cloud = await startMachine({
    webrtc: "signaling-only",
    faults: { signaling: { offline: true } },
  });
  const { error } = await failure(dial("nobody.example", toCloud(cloud)));
  assert.ok(error instanceof HostOfflineError, `no HostOfflineError: ${error}`);
  assert.match(assertCause(error, Code.NotFound).rawMessage, /^host appears to be offline/);
});

test("dial() tells why an answerer refused", async () => {
  const rejectOffers = "out of order";
  await using cloud = await startMachine({ faults: { signaling: { rejectOffers } } });
  const { error } = await failure(dial("robot.example", toCloud(cloud)));
  assert.ok(error instanceof SignalingError, `no SignalingError: ${error}`);
  assert.match(assertCause(error, Code.Unknown).rawMessage, /^error from answerer: out of order/);
});

test("dial() tells that nobody answered, with the signaling server's own status", async () => {
  await using cloud = await startMachine({ webrtc: "signaling-only" });
  const { error } = await failure(dial("nobody.example", toCloud(cloud)));
  assert.ok(error instanceof SignalingError, `no SignalingError: ${error}`);
  assertCause(error, Code.DeadlineExceeded);
  assert.equal(error.phase, "signaling");
}, { timeoutMs: 60_000 });

test("dial() with forceRelay says at once that there is no TURN server", async () => {
  await using machine = await startMachine({ auth: "none" });
  const webrtc = { forceRelay: true, iceServers: [{ urls: "stun:127.0.0.1:3478" }] };
  const { error, tookMs } = await failure(dial(machine.address, { insecure: true, webrtc }));
  assert.ok(error instanceof IceError, `no IceError: ${error}`);
  assert.match(
    assertCause(error, Code.FailedPrecondition).rawMessage,
    /webrtc\.forceRelay needs a TURN server/,
  );
  assert.ok(tookMs < AT_ONCE_MS, `it took ${tookMs} ms`);
});

function toCloud(cloud: Machine): DialOptions {
  return {
    ...DialOptions.withApiKey(cloud.apiKey, cloud.apiKeyId),
    webrtc: { signalingAddress: cloud.address, signalingInsecure: true },
  };
}

/** A port that was free a moment ago. */
async function deadPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A machine on one of the ports that the Fetch Standard blocks. */
async function onRefusedPort(): Promise<Machine> {
  let last: unknown;
  for (const port of [6000, 6566, 6665, 6666, 6667, 6668, 6669, 6697, 10080]) {
    try {
      return await startMachine({ port });
    } catch (error) {
      last = error; // somebody has it
    }
  }
  throw last;
}
