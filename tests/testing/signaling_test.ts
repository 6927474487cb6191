import assert from "node:assert/strict";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { MAX_MESSAGE_BYTES } from "../../lib/core/limits.ts";
import { encodeSessionDescription } from "../../lib/core/ice/session_description.ts";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { createHttp2Carrier } from "../../lib/direct/http2_carrier.ts";
import { createCarrierTransport } from "../../lib/rpc/transport.ts";
import { RUNTIME } from "../../lib/runtime/runtime.ts";
import { createHttpHandler } from "../../lib/server/http_handler.ts";
import { createQueue } from "../../lib/runtime/queue.ts";
import { type SignalingFaults, startMachine } from "../../lib/testing/mod.ts";
import { listenOnOnePort } from "../../lib/server/one_port.ts";
import { recordRoutes } from "../../lib/server/routes.ts";
import { SignalingQueue } from "../../lib/testing/signaling_queue.ts";
import { type SignalingOptions, signalingRoutes } from "../../lib/testing/signaling_service.ts";
import {
  type AnswerRequest,
  type AnswerResponseSchema,
  type CallResponse,
  SignalingService,
} from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import { test } from "../harness.ts";

type SignalingClient = Client<typeof SignalingService>;

/** A signaling server with nothing else, and a client of it. */
async function signaling(options: Partial<SignalingOptions> = {}): Promise<
  AsyncDisposable & { client: SignalingClient }
> {
  const queue = new SignalingQueue();
  const routes = signalingRoutes({
    queue,
    hosts: undefined,
    iceServers: [],
    faults: () => ({}),
    onReport: () => {},
    ...options,
  });
  const port = await listenOnOnePort({
    hostname: "127.0.0.1",
    port: 0,
    handler: await createHttpHandler({
      methods: recordRoutes(routes),
      maxMessageBytes: MAX_MESSAGE_BYTES,
      onCall: () => {},
      admit: () => undefined,
      authenticate: () => {},
      greeting: "",
    }),
    runtime: RUNTIME,
    silent: () => false,
  });
  const { client, close } = clientOf(port.port);
  return {
    client,
    async [Symbol.asyncDispose]() {
      await close();
      queue.close();
      await port.close();
    },
  };
}

function clientOf(port: number): { client: SignalingClient; close: () => Promise<void> } {
  const carrier = createHttp2Carrier({ secure: false, hostname: "127.0.0.1", port }, {
    runtime: RUNTIME,
    maxMessageBytes: 1_000_000,
    keepAliveMs: 0,
  });
  const transport = createCarrierTransport({
    carrier: () => carrier,
    baseUrl: "http://machine",
    maxBufferedBytes: 1_000_000,
  });
  return { client: createClient(SignalingService, transport), close: () => carrier.close() };
}

/** An answerer that a test plays. */
function answerAs(client: SignalingClient, hosts: readonly string[], heartbeats = false) {
  const responses = createQueue<MessageInitShape<typeof AnswerResponseSchema>>();
  const headers = new Metadata(hosts.map((host): [string, string] => ["rpc-host", host]));
  if (heartbeats) headers.set("heartbeats-allowed", "true");
  const requests = client.answer(responses, { headers })[Symbol.asyncIterator]();
  return {
    /** The next stage, and its uuid. */
    async next(): Promise<AnswerRequest | undefined> {
      const next = await requests.next();
      return next.done === true ? undefined : next.value;
    },
    say: (response: MessageInitShape<typeof AnswerResponseSchema>) => responses.push(response),
    hangUp: () => responses.end(),
  };
}

function callAs(client: SignalingClient, host: string, signal?: AbortSignal) {
  const responses = client.call({ sdp: OFFER }, {
    headers: { "rpc-host": host },
    ...(signal === undefined ? {} : { signal }),
  })[Symbol.asyncIterator]();
  return async (): Promise<CallResponse | undefined> => {
    const next = await responses.next();
    return next.done === true ? undefined : next.value;
  };
}

const OFFER = encodeSessionDescription({
  type: "offer",
  sdp: "v=0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n",
});
const ANSWER = encodeSessionDescription({ type: "answer", sdp: "v=0\r\n" });
const headers = { "rpc-host": "robot" };

async function rejection(promise: Promise<unknown>): Promise<[Code, string]> {
  try {
    await promise;
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return [code, rawMessage];
  }
  throw new Error("it did not fail");
}

test("an exchange goes through the server, both ways", async () => {
  await using server = await signaling({ iceServers: [{ urls: ["stun:127.0.0.1:3478"] }] });
  const { client } = server;
  const answerer = answerAs(client, ["other", "robot"]);
  const before = Date.now();
  const caller = callAs(client, "robot");

  const init = await answerer.next();
  assert.equal(init?.stage.case, "init");
  const { uuid } = init!;
  assert.match(uuid, /^[0-9a-f-]{36}$/);
  assert.equal(init.stage.value.sdp, OFFER);
  assert.deepEqual(init.stage.value.optionalConfig?.additionalIceServers[0]?.urls, ["stun:127.0.0.1:3478"]);
  const deadline = timestampMs(init.stage.value.deadline!);
  assert.ok(deadline >= before + 10_000 && deadline <= Date.now() + 10_000);

  answerer.say({ uuid, stage: { case: "init", value: { sdp: ANSWER } } });
  const answered = await caller();
  assert.deepEqual([answered?.uuid, answered?.stage.case], [uuid, "init"]);
  assert.equal(answered?.stage.case === "init" && answered.stage.value.sdp, ANSWER);

  answerer.say({
    uuid,
    stage: { case: "update", value: { candidate: { candidate: "candidate:a", sdpMid: "" } } },
  });
  const update = await caller();
  assert.equal(update?.stage.case === "update" && update.stage.value.candidate?.candidate, "candidate:a");

  const candidate = { candidate: "candidate:c", sdpMid: "0", sdpmLineIndex: 0 };
  await client.callUpdate({ uuid, update: { case: "candidate", value: candidate } }, { headers });
  const forwarded = await answerer.next();
  assert.equal(
    forwarded?.stage.case === "update" && forwarded.stage.value.candidate?.candidate,
    "candidate:c",
  );

  answerer.say({ uuid, stage: { case: "done", value: {} } });
  assert.equal(await caller(), undefined);
  await client.callUpdate({ uuid, update: { case: "done", value: true } }, { headers });
  assert.equal((await answerer.next())?.stage.case, "done");
  assert.equal(await answerer.next(), undefined);
  // Late words of the caller are taken.
  await client.callUpdate({ uuid, update: { case: "candidate", value: candidate } }, { headers });
});

test("an answerer's error is the caller's", async () => {
  await using server = await signaling();
  const answerer = answerAs(server.client, ["robot"]);
  const caller = callAs(server.client, "robot");
  const { uuid } = (await answerer.next())!;
  answerer.say({ uuid, stage: { case: "error", value: { status: { code: 13, message: "no camera" } } } });
  assert.deepEqual(await rejection(caller()), [Code.Internal, "error from answerer: no camera"]);
  assert.equal(await answerer.next(), undefined);
});

test("a caller's error is the answerer's", async () => {
  await using server = await signaling();
  const answerer = answerAs(server.client, ["robot"]);
  const caller = callAs(server.client, "robot");
  const { uuid } = (await answerer.next())!;
  answerer.say({ uuid, stage: { case: "init", value: { sdp: ANSWER } } });
  await caller();
  const update = { case: "error", value: { code: 2, message: "changed my mind" } } as const;
  await server.client.callUpdate({ uuid, update }, { headers });
  const told = await answerer.next();
  assert.equal(told?.stage.case === "error" && told.stage.value.status?.message, "changed my mind");
  assert.equal((await answerer.next())?.stage.case, "done");
  assert.equal(await answerer.next(), undefined);
  assert.deepEqual(await rejection(caller()), [Code.Unknown, "changed my mind"]);
});

/** A caller that hangs up after the answer, and its answerer. */
async function hangUpAfterAnswer(client: Parameters<typeof answerAs>[0]) {
  const answerer = answerAs(client, ["robot"]);
  const abort = new AbortController();
  const caller = callAs(client, "robot", abort.signal);
  const { uuid } = (await answerer.next())!;
  answerer.say({ uuid, stage: { case: "init", value: { sdp: ANSWER } } });
  await caller();
  const end = rejection(caller());
  abort.abort();
  assert.equal((await end)[0], Code.Canceled);
  return { answerer, uuid };
}

test("a caller that hangs up is done, for the answerer", async () => {
  await using server = await signaling();
  const { answerer, uuid } = await hangUpAfterAnswer(server.client);
  assert.equal((await answerer.next())?.stage.case, "done");
  answerer.say({ uuid, stage: { case: "done", value: {} } });
  assert.equal(await answerer.next(), undefined);
});

test("a caller that hangs up holds an answerer whose channel does not open for a moment alone", async () => {
  await using server = await signaling({ hungUpMs: 20 });
  const { answerer } = await hangUpAfterAnswer(server.client);
  const heard = [await answerer.next(), await answerer.next(), await answerer.next()];
  assert.deepEqual(heard.map((request) => request?.stage.case), ["done", "error", "done"]);
  await rejection(answerer.next());
});

test("an answerer that misbehaves or goes away ends its caller's call", async () => {
  await using server = await signaling();
  type Answerer = ReturnType<typeof answerAs>;
  const cases: [string, (answerer: Answerer, uuid: string) => void, RegExp][] = [
    [
      "update before init",
      (answerer, uuid) => answerer.say({ uuid, stage: { case: "update", value: { candidate: {} } } }),
      /got update stage before init stage$/,
    ],
    [
      "done before init",
      (answerer, uuid) => answerer.say({ uuid, stage: { case: "done", value: {} } }),
      /got done stage before init stage$/,
    ],
    [
      "another's uuid",
      (answerer, uuid) => answerer.say({ uuid: `${uuid}x`, stage: { case: "init", value: { sdp: ANSWER } } }),
      /uuid mismatch; have="[0-9a-f-]{36}x" want="[0-9a-f-]{36}"$/,
    ],
    ["no stage", (answerer, uuid) => answerer.say({ uuid }), /unexpected stage undefined$/],
    ["hangs up", (answerer) => answerer.hangUp(), /the answerer has hung up$/],
  ];
  for (const [name, misbehave, message] of cases) {
    const answerer = answerAs(server.client, ["robot"]);
    const caller = callAs(server.client, "robot");
    misbehave(answerer, (await answerer.next())!.uuid);
    const [, text] = await rejection(caller());
    assert.match(text, message, name);
    assert.match(text, /^error from answerer: /, name);
    assert.match((await rejection(answerer.next()))[1], message, name);
  }
});

test("an offer that nobody answers ends at its deadline, and so does one that is never finished", async () => {
  await using server = await signaling({ offerDeadlineMs: 60 });
  const deadline = [Code.DeadlineExceeded, "context deadline exceeded"];
  assert.deepEqual(await rejection(callAs(server.client, "robot")()), deadline);
  const answerer = answerAs(server.client, ["robot"]);
  const caller = callAs(server.client, "robot");
  assert.equal((await answerer.next())?.stage.case, "init");
  assert.deepEqual(await rejection(caller()), deadline);
  assert.equal((await answerer.next())?.stage.case, "error");
  assert.equal((await answerer.next())?.stage.case, "done");
  assert.deepEqual(await rejection(answerer.next()), deadline);
});

test("an answerer that is done waits for its caller no longer than the deadline", async () => {
  await using server = await signaling({ offerDeadlineMs: 300 });
  const answerer = answerAs(server.client, ["robot"]);
  const caller = callAs(server.client, "robot");
  const { uuid } = (await answerer.next())!;
  answerer.say({ uuid, stage: { case: "init", value: { sdp: ANSWER } } });
  answerer.say({ uuid, stage: { case: "done", value: {} } });
  assert.equal((await caller())?.stage.case, "init");
  assert.equal(await caller(), undefined);
  assert.equal(await answerer.next(), undefined);
});

test("an answerer that asks for heartbeats gets them while it waits", async () => {
  await using server = await signaling({ heartbeatMs: 5 });
  const answerer = answerAs(server.client, ["robot"], true);
  for (let count = 0; count < 3; count++) {
    const heartbeat = await answerer.next();
    assert.deepEqual([heartbeat?.stage.case, heartbeat?.uuid], ["heartbeat", ""]);
  }
  callAs(server.client, "robot")().catch(() => {});
  let next = await answerer.next();
  while (next?.stage.case === "heartbeat") next = await answerer.next();
  assert.equal(next?.stage.case, "init");
  answerer.say({ uuid: next.uuid, stage: { case: "error", value: {} } });
  assert.equal(await answerer.next(), undefined);
});

test("hosts are checked as goutils checks them", async () => {
  await using server = await signaling({ hosts: ["robot", "robot.local"] });
  const { client } = server;
  const config = (...hosts: string[]) =>
    client.optionalWebRTCConfig({}, {
      headers: new Metadata(hosts.map((host): [string, string] => ["rpc-host", host])),
    });
  assert.deepEqual((await config("robot")).config?.additionalIceServers, []);
  await config("robot", "robot.local");
  assert.deepEqual(await rejection(config()), [Code.Unknown, "expected rpc-host to be set in metadata"]);
  assert.deepEqual(await rejection(config("")), [Code.Unknown, "expected non-empty rpc-host"]);
  assert.deepEqual(await rejection(config("a", "b", "c", "d", "e", "f")), [
    Code.Unknown,
    "too many rpc-host",
  ]);
  assert.deepEqual(await rejection(config("other")), [Code.InvalidArgument, "host not preconfigured"]);
  const two = { headers: new Metadata([["rpc-host", "robot"], ["rpc-host", "robot.local"]]) };
  const update = { uuid: "x", update: { case: "done", value: true } } as const;
  assert.deepEqual(await rejection(client.callUpdate(update, two)), [Code.Unknown, "expected 1 rpc-host"]);
  assert.deepEqual(
    await rejection(callAs(client, "other")()),
    [Code.InvalidArgument, "host not preconfigured"],
  );
  assert.deepEqual(
    await rejection(client.callUpdate(update, { headers })),
    [Code.Unknown, 'no active offer for "x"'],
  );
  assert.deepEqual(
    await rejection(answerAs(client, ["robot", "other"]).next()),
    [Code.InvalidArgument, "host not preconfigured"],
  );
});

test("callers are told of ICE servers, and may report their dials", async () => {
  await using machine = await startMachine({
    auth: "none",
    iceServers: [{ urls: ["turn:127.0.0.1:3478?transport=udp"], username: "u", credential: "c" }],
  });
  const { client, close } = clientOf(machine.port);
  const { config } = await client.optionalWebRTCConfig({}, { headers });
  const [server] = config?.additionalIceServers ?? [];
  assert.deepEqual(
    [server?.urls, server?.username, server?.credential],
    [["turn:127.0.0.1:3478?transport=udp"], "u", "c"],
  );
  await client.reportConnectionMetadata({ durationMs: 12, reachedStage: 7 });
  assert.deepEqual(machine.reports.map(({ durationMs, reachedStage }) => [durationMs, reachedStage]), [[
    12,
    7,
  ]]);
  await close();
});

test("a machine without WebRTC does not signal", async () => {
  await using machine = await startMachine({ auth: "none", webrtc: false });
  const { client, close } = clientOf(machine.port);
  const [code] = await rejection(client.optionalWebRTCConfig({}, { headers }));
  assert.equal(code, Code.Unimplemented);
  await close();
});

test("faults of signaling", async () => {
  let faults: SignalingFaults = {};
  await using server = await signaling({ faults: () => faults });
  const { client } = server;
  faults = { noConfig: true };
  assert.equal((await rejection(client.optionalWebRTCConfig({}, { headers })))[0], Code.Unimplemented);
  faults = { offline: true };
  assert.deepEqual(await rejection(callAs(client, "robot")()), [
    Code.NotFound,
    "host appears to be offline; ensure machine is online and try again",
  ]);
  faults = { rejectOffers: "not today" };
  assert.deepEqual(await rejection(callAs(client, "robot")()), [
    Code.Unknown,
    "error from answerer: not today",
  ]);
  const answerer = answerAs(client, ["robot"]);
  faults = { noCandidates: true };
  const caller = callAs(client, "robot");
  const init = await answerer.next();
  assert.equal(
    init?.stage.case === "init" && init.stage.value.sdp,
    encodeSessionDescription({ type: "offer", sdp: "v=0\r\n" }),
  );
  const { uuid } = init!;
  answerer.say({ uuid, stage: { case: "init", value: { sdp: ANSWER } } });
  answerer.say({ uuid, stage: { case: "update", value: { candidate: { candidate: "candidate:a" } } } });
  answerer.say({ uuid, stage: { case: "done", value: {} } });
  assert.equal((await caller())?.stage.case, "init");
  assert.equal(await caller(), undefined);
});

test("a machine that never answers leaves its callers to the deadline", async () => {
  await using server = await signaling({ faults: () => ({ neverAnswer: true }), offerDeadlineMs: 60 });
  answerAs(server.client, ["robot"]).next().catch(() => {}); // it ends with the server
  assert.equal((await rejection(callAs(server.client, "robot")()))[0], Code.DeadlineExceeded);
});
