/** Protocol §10, points 7 to 15, as a dial shows them. Points 1 to 6 are the other files' of this folder. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { type Routes, startMachine } from "../../lib/testing/mod.ts";
import { livePeers } from "../../lib/webrtc/peer.ts";
import { dial, dialDirect, DialOptions } from "../../mod.ts";
import { SignalingService } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test, within } from "../harness.ts";
import { buildGo, missing } from "../interop/requirements.ts";
import { startRawMachine } from "../webrtc/raw_answerer.ts";
import { answer } from "../webrtc/raw_frames.ts";
import { until } from "./lanes.ts";

const AUTHENTICATE = "/proto.rpc.v1.AuthService/Authenticate";

test("protocol §10, 7: signaling survives refused updates, and says done once", async () => {
  // By exchange: a dial that takes its time makes another beside the first.
  const done = new Map<string, number>();
  const refusing: Routes = (router) =>
    router.rpc(SignalingService.method.callUpdate, ({ uuid, update }) => {
      if (update.case === "done") done.set(uuid, (done.get(uuid) ?? 0) + 1);
      throw new ConnectError("no updates today", Code.Unavailable);
    });
  await using machine = await startMachine({ auth: "none", routes: refusing });
  {
    await using channel = await dial(machine.address, { insecure: true });
    assert.equal(channel.kind, "webrtc");
    await createClient(ProbeService, channel).echo({});
    await until(() => done.size > 0);
  }
  assert.ok([...done.values()].every((count) => count === 1), `${[...done]}`);
});

test("protocol §10, 8: only a server that does not signal means a direct dial", async () => {
  await using machine = await startMachine({ auth: "none", faults: { signaling: { noConfig: true } } });
  {
    await using channel = await dial(machine.address, { insecure: true });
    assert.equal(channel.kind, "direct");
  }
  machine.faults = { signaling: { offline: true } };
  const calls = machine.callsTo("/viam_dial.v1.Hello/Ask");
  await assert.rejects(dial(machine.address, { insecure: true }), /offline/);
  machine.faults = {
    only: (path) => path.endsWith("OptionalWebRTCConfig"),
    refuse: { code: Code.PermissionDenied, message: "not yours" },
  };
  await assert.rejects(dial(machine.address, { insecure: true }), /not yours/);
  assert.equal(machine.callsTo("/viam_dial.v1.Hello/Ask").webrtc, calls.webrtc);
});

test("protocol §10, 9: a plaintext server gets what the downgrade options allow", async () => {
  await using open = await startMachine({ auth: "none" });
  await using keyed = await startMachine();
  for (const insecure of [false, true]) {
    for (const allowInsecureDowngrade of [false, true]) {
      for (const allowInsecureWithCredsDowngrade of [false, true]) {
        const options = { insecure, allowInsecureDowngrade, allowInsecureWithCredsDowngrade };
        const title = JSON.stringify(options);
        const attempt = async (address: string, more: DialOptions) => {
          try {
            await using channel = await dialDirect(address, { ...more, ...options });
            await createClient(ProbeService, channel).echo({});
            return true;
          } catch {
            return false;
          }
        };
        const key = DialOptions.withApiKey(keyed.apiKey, keyed.apiKeyId);
        assert.equal(await attempt(open.address, {}), insecure || allowInsecureDowngrade, title);
        const mayWithKey = insecure || allowInsecureWithCredsDowngrade;
        const withKey = await attempt(keyed.address, key);
        // Credentials go out in the clear only where their own option, or `insecure`, says so.
        if (!mayWithKey) assert.equal(withKey, false, title);
        if (insecure || (allowInsecureDowngrade && allowInsecureWithCredsDowngrade)) {
          assert.equal(withKey, true, title);
        }
      }
    }
  }
});

test("protocol §10, 10: metadata of a call keeps the bearer token, and calls share one renewal", async () => {
  await using machine = await startMachine();
  await using channel = await dialDirect(machine.address, {
    ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
    insecure: true,
  });
  const probe = createClient(ProbeService, channel);
  const { metadata } = await probe.inspect({}, { headers: { "x-own": "1", authorization: "Basic mine" } });
  assert.deepEqual(metadata["x-own"]?.values, ["1"]);
  assert.match(metadata["authorization"]?.values.at(-1) ?? "", /^Bearer /);
  const before = machine.callsTo(AUTHENTICATE);
  machine.revokeTokens();
  await assert.rejects(probe.echo({}), (error) => ConnectError.from(error).code === Code.Unauthenticated);
  await Promise.all(Array.from({ length: 20 }, () => probe.echo({})));
  const after = machine.callsTo(AUTHENTICATE);
  assert.equal(after["grpc-web"] + after.grpc - before["grpc-web"] - before.grpc, 1);
});

test("protocol §10, 11: what comes on the negotiation channel harms no call", async () => {
  await using machine = await startRawMachine(({ stream, type }, channel) => {
    const id = Number(stream!.id);
    if (type.case !== "message") return;
    const offer = btoa(
      JSON.stringify({ type: "offer", sdp: "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" }),
    );
    for (const text of ["", "garbage", "\0\uffff", "{}", offer]) channel.peer.negotiate(text);
    for (const frame of [answer.headers(id), answer.packet(id, new Uint8Array(0)), answer.trailers(id)]) {
      void channel.send(frame);
    }
  });
  await using channel = await dial(machine.address, { insecure: true, maxReconnectAttempts: 0 });
  for (let round = 0; round < 5; round++) await createClient(ProbeService, channel).echo({});
  assert.equal(channel.state, "connected");
});

test("protocol §10, 12: one budget bounds a dial, and giving it up at any moment leaves nothing", async () => {
  await using machine = await startMachine({ auth: "none" });
  for (const delayMs of [0, 1, 2, 4, 8, 16, 32]) {
    const given = new AbortController();
    const reason = new Error(`given up after ${delayMs} ms`);
    setTimeout(() => given.abort(reason), delayMs);
    try {
      await (await dial(machine.address, { insecure: true, signal: given.signal })).close();
    } catch (error) {
      assert.equal(error, reason);
    }
  }
  machine.faults = { signaling: { neverAnswer: true } };
  const start = performance.now();
  await assert.rejects(dial(machine.address, { insecure: true, timeoutMs: 500 }));
  assert.ok(performance.now() - start < 5_000);
  // Those of the machine are in this process, too; it waits its time for callers that have gone without a word.
  await until(() => livePeers() <= machine.connections);
});

test(
  "protocol §10, 13: reconnects are bounded, counted anew after each success, and stopped by close()",
  async () => {
    await using machine = await startMachine({ auth: "none" });
    const attempts: number[] = [];
    await using channel = await dial(machine.address, { insecure: true, maxReconnectAttempts: 2 });
    channel.addEventListener("reconnecting", (event) => {
      attempts.push((event as CustomEvent<{ attempt: number }>).detail.attempt);
    });
    const probe = createClient(ProbeService, channel);
    for (let outage = 0; outage < 3; outage++) {
      const lost = new Promise((resolve) =>
        channel.addEventListener("disconnected", resolve, { once: true })
      );
      machine.dropConnections();
      await within(15_000, () => lost);
      await probe.echo({});
    }
    assert.deepEqual(attempts, [1, 1, 1]);
    machine.faults = { signaling: { noConfig: true } };
    machine.dropConnections();
    const error = await within(20_000, () => channel.closed);
    assert.ok(error instanceof Error);
    assert.deepEqual(attempts, [1, 1, 1, 1, 2]);
    await assert.rejects(probe.echo({}), (failure) => ConnectError.from(failure).code === Code.Unavailable);
  },
  { timeoutMs: 60_000 },
);

test("protocol §10, 14: rpc-host is the host as it was typed", async () => {
  const hosts: (string | null)[] = [];
  const recording: Routes = (router) =>
    router.rpc(SignalingService.method.optionalWebRTCConfig, (_request, { requestHeader }) => {
      hosts.push(requestHeader.get("rpc-host"));
      return {};
    });
  await using machine = await startMachine({ auth: "none", routes: recording });
  const signaling = { signalingAddress: machine.address, signalingInsecure: true };
  for (const typed of [machine.address, "robot.example", "robot.example:8080", "Robot.Example:443"]) {
    await using channel = await dial(typed, {
      insecure: true,
      ...(typed === machine.address ? {} : { webrtc: signaling }),
    });
    assert.equal(channel.kind, "webrtc");
    assert.equal(hosts.at(-1), typed);
  }
});

test("protocol §10, 15: a Go client makes its calls to the machine over WebRTC and directly", async () => {
  const client = join(await buildGo(), "client");
  await using machine = await startMachine();
  for (const way of [["-webrtc"], []]) {
    const key = ["-api-key", machine.apiKey, "-api-key-id", machine.apiKeyId];
    const { stdout } = await promisify(execFile)(client, ["-address", machine.address, ...key, ...way]);
    assert.equal(JSON.parse(stdout).ok, true);
  }
  assert.ok(machine.calls.webrtc > 0);
}, { skip: missing("go"), timeoutMs: 90_000 });
