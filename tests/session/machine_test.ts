import assert from "node:assert/strict";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { type MonitoredResource, RobotService, startMachine } from "../../lib/testing/mod.ts";
import { dial, DialOptions } from "../../mod.ts";
import { test } from "../harness.ts";
import { WheelService } from "./proto/gen/viam_dial/test/v1/wheel_pb.ts";
import { startWheelMachine } from "./wheel.ts";

/** Both ways to a machine, with what `GetSessions` calls each. */
const PATHS = [
  { path: "WebRTC", options: {}, type: 2 },
  { path: "direct", options: { disableWebrtc: true }, type: 1 },
] as const;

function clients(channel: Transport) {
  return { robot: createClient(RobotService, channel), wheels: createClient(WheelService, channel) };
}

function of(id: string) {
  return { headers: { "viam-sid": id } };
}

async function refused(call: Promise<unknown> | AsyncIterable<unknown>): Promise<[Code, string]> {
  try {
    if (Symbol.asyncIterator in call) { for await (const _ of call); }
    else await call;
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return [code, rawMessage];
  }
  throw new Error("the call was not refused");
}

const EXPIRED = [Code.InvalidArgument, "SESSION_EXPIRED"];

for (const { path, options, type } of PATHS) {
  const insecure = { ...options, insecure: true };

  test(`a machine's sessions over ${path}: started with a window, listed, resumed by id`, async () => {
    await using wheel = await startWheelMachine({ sessions: { windowMs: 60_000 } });
    await using channel = await dial(wheel.machine.address, insecure);
    const { robot } = clients(channel);
    const { id, heartbeatWindow } = await robot.startSession({});
    assert.deepEqual([heartbeatWindow?.seconds, heartbeatWindow?.nanos], [60n, 0]);
    assert.equal((await robot.startSession({ resume: id })).id, id);
    const unknown = crypto.randomUUID();
    const { id: other } = await robot.startSession({ resume: unknown });
    assert.ok(other !== unknown && other !== id);
    await robot.sendSessionHeartbeat({ id });
    const { sessions } = await robot.getSessions({});
    assert.deepEqual(sessions.map((session) => [session.id, session.peerConnectionInfo?.type]), [
      [id, type],
      [other, type],
    ]);
    assert.deepEqual(await refused(robot.sendSessionHeartbeat({ id: unknown })), EXPIRED);
    for (const call of [robot.startSession({ resume: "x" }), robot.sendSessionHeartbeat({ id: "x" })]) {
      assert.deepEqual(await refused(call), [Code.Unknown, 'invalid UUID "x"']);
    }
  });

  test(`a machine refuses a call of an unknown session over ${path} before the handler, of every kind`, async () => {
    await using wheel = await startWheelMachine();
    await using channel = await dial(wheel.machine.address, insecure);
    const { wheels } = clients(channel);
    const none = of(crypto.randomUUID());
    const request = { name: "left", turns: 1 };
    async function* requests() {
      yield request;
    }
    assert.deepEqual(await refused(wheels.turn(request, none)), EXPIRED);
    assert.deepEqual(await refused(wheels.turnOften(request, none)), EXPIRED);
    assert.deepEqual(await refused(wheels.turnTogether(requests(), none)), EXPIRED);
    assert.deepEqual(await refused(wheels.turnAlong(requests(), none)), EXPIRED);
    const [code] = await refused(wheels.turn(request, of("x")));
    assert.equal(code, Code.Unknown);
    assert.deepEqual(wheel.handled, []);
    // A method that is not monitored has no need of a session.
    await wheels.stop({ name: "left" }, none);
  });

  test(`a machine calls Stop over ${path} for what an expired session moved last, by every kind of call`, async () => {
    await using wheel = await startWheelMachine({ sessions: { windowMs: 1_000 } });
    await using channel = await dial(wheel.machine.address, insecure);
    const { robot, wheels } = clients(channel);
    const own = of((await robot.startSession({})).id);
    const request = (name: string) => ({ name, turns: 1 });
    async function* requests(name: string) {
      yield request(name);
      yield request(name);
    }
    await wheels.turn(request("one"), own);
    for await (const _ of wheels.turnOften(request("two"), own));
    assert.equal((await wheels.turnTogether(requests("three"), own)).turns, 2);
    for await (const _ of wheels.turnAlong(requests("four"), own));
    await wheels.turn(request("ours"), own);
    await wheels.turn(request("ours"));
    await Promise.all(["one", "two", "three", "four"].map((name) => wheel.stopped(name)));
    assert.deepEqual([...wheel.turning], ["ours"]);
    assert.deepEqual(await refused(wheels.turn(request("one"), own)), EXPIRED);
  });
}

test("sessions.stop says what stops, and a service without Stop is no failure", async () => {
  const stopped = Promise.withResolvers<MonitoredResource>();
  await using hooked = await startWheelMachine({ sessions: { windowMs: 1_000, stop: stopped.resolve } });
  await using bare = await startMachine({
    auth: "none",
    sessions: { windowMs: 1_000 },
    routes: (router) => router.service(WheelService, { turn: ({ turns }) => ({ turns }) }),
  });
  for (const { address } of [bare, hooked.machine]) {
    await using channel = await dial(address, { insecure: true, disableWebrtc: true });
    const { robot, wheels } = clients(channel);
    const { id } = await robot.startSession({});
    await wheels.turn({ name: "left", turns: 1 }, of(id));
    while ((await robot.getSessions({})).sessions.length > 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  assert.deepEqual(await stopped.promise, { service: WheelService.typeName, name: "left" });
  assert.deepEqual(hooked.handled, ["Turn"]);
});

test("a session is its caller's alone: another entity's call with it is refused", async () => {
  const [one, other] = [crypto.randomUUID(), crypto.randomUUID()];
  const credentials = [one, other].map((entity) => ({ type: "api-key", entity, payload: "secret" }));
  await using wheel = await startWheelMachine({ auth: { credentials } });
  const as = (entity: string) =>
    dial(wheel.machine.address, {
      ...DialOptions.withApiKey("secret", entity),
      insecure: true,
      disableWebrtc: true,
    });
  await using ann = await as(one);
  await using bob = await as(other);
  const { id } = await clients(ann).robot.startSession({});
  assert.deepEqual(await refused(clients(bob).wheels.turn({ name: "left" }, of(id))), EXPIRED);
  assert.notEqual((await clients(bob).robot.startSession({ resume: id })).id, id);
  await clients(ann).wheels.turn({ name: "left" }, of(id));
});

test("faults.dropHeartbeats lets a session expire though its owner goes on", async () => {
  await using wheel = await startWheelMachine({
    sessions: { windowMs: 1_000 },
    faults: { dropHeartbeats: true },
  });
  await using channel = await dial(wheel.machine.address, { insecure: true });
  const { robot, wheels } = clients(channel);
  const { id } = await robot.startSession({});
  await wheels.turn({ name: "left" }, of(id));
  const beating = new AbortController();
  const beats = setInterval(() => robot.sendSessionHeartbeat({ id }, beating).catch(() => {}), 20);
  await wheel.stopped("left");
  clearInterval(beats);
  beating.abort();
});

test("sessions.windowMs is what a real machine takes", async () => {
  for (const windowMs of [29, 60_001, NaN]) {
    await assert.rejects(startMachine({ sessions: { windowMs } }), TypeError);
  }
});
