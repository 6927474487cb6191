import assert from "node:assert/strict";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { type MachineOptions, RobotService } from "../../lib/testing/mod.ts";
import { dial, type DialOptions, type ViamChannel } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { watchDelays } from "../delays.ts";
import { test } from "../harness.ts";
import { startGoMachine } from "../interop/go_machine.ts";
import { missing } from "../interop/requirements.ts";
import { rejection } from "../transport/suite.ts";
import { WheelService } from "./proto/gen/viam_dial/test/v1/wheel_pb.ts";
import { startWheelMachine, type WheelMachine } from "./wheel.ts";

const START = "/viam.robot.v1.RobotService/StartSession";
const HEARTBEAT = "/viam.robot.v1.RobotService/SendSessionHeartbeat";
const TURN = `/${WheelService.typeName}/Turn`;

const PATHS: readonly { readonly path: string; readonly options: DialOptions }[] = [
  { path: "WebRTC", options: {} },
  { path: "direct", options: { disableWebrtc: true } },
  { path: "native gRPC", options: { disableWebrtc: true, protocol: "grpc" } },
];

function count({ machine }: WheelMachine, path: string): number {
  return Object.values(machine.callsTo(path)).reduce((sum, calls) => sum + calls, 0);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Calls a method of each kind, with the turns that it reports. */
function kinds(channel: ViamChannel): Record<string, (load?: Uint8Array<ArrayBuffer>) => Promise<number>> {
  const wheels = createClient(WheelService, channel);
  const request = (load = new Uint8Array()) => ({ name: "left", turns: 1, load });
  async function* two(load: Uint8Array<ArrayBuffer> | undefined) {
    yield request(load);
    yield request(load);
  }
  const sum = async (messages: AsyncIterable<{ turns: number }>) => {
    let turns = 0;
    for await (const message of messages) turns += message.turns;
    return turns;
  };
  return {
    Turn: async (load) => (await wheels.turn(request(load))).turns,
    TurnOften: (load) => sum(wheels.turnOften({ ...request(load), turns: 2 })),
    TurnTogether: async (load) => (await wheels.turnTogether(two(load))).turns,
    TurnAlong: (load) => sum(wheels.turnAlong(two(load))),
  };
}

for (const { path, options } of PATHS) {
  const insecure = { ...options, insecure: true };

  test(`a session over ${path} begins with the first monitored call, and is carried by all of them`, async () => {
    await using wheel = await startWheelMachine();
    await using channel = await dial(wheel.machine.address, { ...insecure, session: true });
    const robot = createClient(RobotService, channel), wheels = createClient(WheelService, channel);
    await wheels.stop({ name: "left" });
    await robot.getVersion({});
    assert.equal(count(wheel, START), 0);
    await Promise.all(Object.values(kinds(channel)).map((call) => call()));
    await wheels.turn({ name: "left" });
    const { sessions: [session, ...others] } = await robot.getSessions({});
    assert.deepEqual(others, []);
    assert.deepEqual(wheel.ids, Array(5).fill(session?.id));
    assert.equal(count(wheel, START), 1);
  });

  test(`a monitored call with a session over ${path} is one header more, and no message`, async () => {
    const headers: string[][] = [];
    await using wheel = await startWheelMachine({ sessions: { windowMs: 60_000 } });
    for (const session of [false, true]) {
      await using channel = await dial(wheel.machine.address, { ...insecure, session });
      const wheels = createClient(WheelService, channel);
      await wheels.turn({ name: "left" });
      const calls = () => [START, HEARTBEAT, TURN].reduce((sum, called) => sum + count(wheel, called), 0);
      const before = calls();
      for (let call = 0; call < 10; call++) await wheels.turn({ name: "left" });
      assert.equal(calls() - before, 10);
      headers.push(wheel.headers);
    }
    const [without = [], with_ = []] = headers;
    assert.deepEqual(with_.filter((name) => !without.includes(name)), ["viam-sid"]);
    assert.deepEqual(without.filter((name) => !with_.includes(name)), []);
  });

  test(`a call over ${path} that is refused for its session is made once more with a new one, of every kind`, async () => {
    await using wheel = await startWheelMachine({ sessions: { windowMs: 60_000 } });
    await using channel = await dial(wheel.machine.address, { ...insecure, session: true });
    for (const [kind, call] of Object.entries(kinds(channel))) {
      const turns = await call();
      wheel.refuse(1);
      assert.equal(await call(), turns, kind);
      assert.deepEqual(wheel.handled.splice(0), [kind, kind]);
      const [first, refused, again] = wheel.ids.splice(0);
      assert.ok(first === refused && typeof again === "string" && again !== first, kind);
      wheel.refuse(2);
      const error = await rejection(call);
      assert.deepEqual([error.code, error.rawMessage], [Code.InvalidArgument, "SESSION_EXPIRED"], kind);
      assert.deepEqual([wheel.ids.splice(0).length, wheel.handled.splice(0)], [2, []], kind);
    }
    assert.equal(wheel.turns, 8);
  });

  test(`a machine without sessions over ${path} is asked once a connection, and calls go without`, async () => {
    const lines: string[] = [];
    await using wheel = await startWheelMachine({
      faults: { only: (called) => called === START, refuse: Code.Unimplemented },
    });
    await using channel = await dial(wheel.machine.address, {
      ...insecure,
      session: true,
      logger: { warn: (line) => lines.push(line) },
    });
    await Promise.all(Object.values(kinds(channel)).map((call) => call()));
    await kinds(channel)["Turn"]!();
    assert.deepEqual(wheel.ids, Array(5).fill(null));
    assert.equal(count(wheel, START), 1);
    assert.deepEqual(lines, ["the machine keeps no sessions: it does not stop when this program does"]);
    // The next connection may lead to a machine that keeps some.
    wheel.machine.faults = {};
    wheel.machine.dropConnections();
    await until(async () => {
      await kinds(channel)["Turn"]!().catch(() => {});
      return wheel.ids.at(-1) !== null;
    });
  });

  test(`without the option session no call over ${path} has to do with sessions`, async () => {
    await using wheel = await startWheelMachine();
    for (const session of [{}, { session: false }]) {
      await using channel = await dial(wheel.machine.address, { ...insecure, ...session });
      await Promise.all(Object.values(kinds(channel)).map((call) => call()));
    }
    assert.deepEqual(wheel.ids, Array(8).fill(null));
    assert.equal(count(wheel, START), 0);
  });
}

test(
  "a session with the Go machine begins with the first monitored call, and is one header of each",
  async () => {
    await using machine = await startGoMachine();
    const inspect = `/${ProbeService.typeName}/Inspect`;
    for (const { options } of PATHS) {
      const headers: string[][] = [];
      for (const session of [false, { methods: [inspect] }]) {
        await using channel = await dial(machine.address, { ...options, insecure: true, session });
        const robot = createClient(RobotService, channel), wheels = createClient(WheelService, channel);
        const ids = async () => (await robot.getSessions({})).sessions.map(({ id }) => id);
        const before = await ids();
        const begun = async () => (await ids()).filter((id) => !before.includes(id));
        await wheels.stop({ name: "left" });
        assert.deepEqual(await begun(), []);
        const { metadata } = await createClient(ProbeService, channel).inspect({});
        headers.push(Object.keys(metadata));
        await Promise.all(Object.values(kinds(channel)).map((call) => call()));
        const [id, ...others] = await begun();
        assert.deepEqual([id === undefined, others], [session === false, []]);
        const carried = (await wheels.report({})).sessionIds.slice(-4);
        assert.deepEqual(carried, Array(4).fill(id ?? ""));
      }
      const [without = [], with_ = []] = headers;
      assert.deepEqual(with_.filter((name) => !without.includes(name)), ["viam-sid"]);
      assert.deepEqual(without.filter((name) => !with_.includes(name)), []);
    }
  },
  { timeoutMs: 180_000, skip: missing("go") },
);

test("a call fails with what kept its session from starting, and the next one tries again", async () => {
  await using wheel = await startWheelMachine({
    faults: { only: (called) => called === START, refuse: Code.ResourceExhausted },
  });
  await using channel = await dial(wheel.machine.address, { insecure: true, session: true });
  const { Turn, TurnAlong } = kinds(channel);
  for (const call of [Turn!, TurnAlong!]) {
    assert.equal((await rejection(call)).code, Code.ResourceExhausted);
  }
  assert.deepEqual(wheel.handled, []);
  wheel.machine.faults = {};
  assert.equal(await Turn!(), 1);
  assert.equal(count(wheel, START), 3);
});

test("a call gives up waiting for its session with its signal, and with its deadline", async () => {
  await using wheel = await startWheelMachine({
    faults: { only: (called) => called === START, silent: true },
  });
  await using channel = await dial(wheel.machine.address, { insecure: true, session: true });
  const wheels = createClient(WheelService, channel);
  const abort = new AbortController();
  const [late, left, stream] = [
    rejection(() => wheels.turn({}, { timeoutMs: 400 })),
    rejection(() => wheels.turn({}, { signal: abort.signal })),
    rejection(async () => {
      for await (const _ of wheels.turnOften({}, { signal: abort.signal }));
    }),
  ];
  assert.equal((await late).code, Code.DeadlineExceeded);
  abort.abort();
  assert.deepEqual([(await left).code, (await stream).code], [Code.Canceled, Code.Canceled]);
  assert.equal(count(wheel, START), 1);
});

test("heartbeats keep a session alive until the channel is closed; then what it moved stops", async () => {
  for (;;) {
    await using wheel = await startWheelMachine({ sessions: { windowMs: 4_000 } });
    using delays = watchDelays();
    const seen: string[] = [];
    const interceptor: Interceptor = (next) => (request) => {
      seen.push(request.method.name);
      return next(request);
    };
    await using channel = await dial(wheel.machine.address, {
      insecure: true,
      session: true,
      interceptors: [interceptor],
    });
    await createClient(WheelService, channel).turn({ name: "left" });
    await until(() => count(wheel, HEARTBEAT) >= 6 || !wheel.turning.has("left"));
    // On a computer that has no time for heartbeats, this says nothing.
    if (!wheel.turning.has("left") && delays.longestMs > 500) continue;
    assert.deepEqual([...wheel.turning], ["left"]);
    // The session's own calls are neither for interceptors nor for statistics.
    assert.deepEqual(seen, ["Turn"]);
    assert.equal(channel.getStats().calls.started, 1);
    await channel.close();
    const beats = count(wheel, HEARTBEAT);
    await wheel.stopped("left");
    assert.equal(count(wheel, HEARTBEAT), beats);
    return;
  }
});

test("monitored calls stand for heartbeats", async () => {
  await using wheel = await startWheelMachine({ sessions: { windowMs: 10_000 } });
  await using channel = await dial(wheel.machine.address, { insecure: true, session: true });
  const wheels = createClient(WheelService, channel);
  const start = performance.now();
  while (performance.now() - start < 2_500) {
    await wheels.turn({ name: "left" });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(count(wheel, HEARTBEAT), 0);
});

const lasting: readonly (readonly [what: string, faults: NonNullable<MachineOptions["faults"]>])[] = [
  ["that has expired", { dropHeartbeats: true }],
  ["whose heartbeats the machine does not know", {
    only: (called) => called === HEARTBEAT,
    refuse: Code.Unimplemented,
  }],
];
for (const [what, faults] of lasting) {
  test(`a session ${what} is begun again by the next monitored call, which is made once`, async () => {
    const lines: string[] = [];
    await using wheel = await startWheelMachine({
      sessions: { windowMs: 1_000 },
      faults,
    });
    await using channel = await dial(wheel.machine.address, {
      insecure: true,
      session: true,
      logger: { warn: (line) => lines.push(line) },
    });
    const { Turn } = kinds(channel);
    await Turn!();
    await wheel.stopped("left");
    wheel.machine.faults = {};
    await Turn!();
    assert.deepEqual(wheel.handled, ["Turn", "Stop", "Turn"]);
    assert.notEqual(wheel.ids[0], wheel.ids[1]);
    assert.equal(count(wheel, START), 2);
    assert.deepEqual(lines, ["the session expired: the machine stops what it moved"]);
  });
}

for (const { path, options } of PATHS) {
  test(`a session over ${path} is begun again where the machine is another by now`, async () => {
    const before = await startWheelMachine({ sessions: { windowMs: 60_000 } });
    const { address, port } = before.machine;
    await using channel = await dial(address, {
      ...options,
      insecure: true,
      session: true,
      maxReconnectAttempts: 20,
    });
    const { Turn } = kinds(channel);
    await Turn!();
    await before[Symbol.asyncDispose]();
    await using after = await startWheelMachine({ port, sessions: { windowMs: 60_000 } });
    // A direct call to a machine that was away may fail; that is no matter of sessions.
    await until(() =>
      Turn!().then(() => true, (error) => ConnectError.from(error).code !== Code.Unavailable)
    );
    assert.deepEqual(after.handled, ["Turn"]);
    const { sessions } = await createClient(RobotService, channel).getSessions({});
    assert.deepEqual(sessions.map(({ id }) => id), [after.ids.at(-1)]);
    assert.notEqual(after.ids.at(-1), before.ids[0]);
  });
}

test("a stream that has sent more than 256 KiB ends with the refusal, and the next call begins a session", async () => {
  await using wheel = await startWheelMachine({ sessions: { windowMs: 60_000 } });
  await using channel = await dial(wheel.machine.address, { insecure: true, session: true });
  const { TurnAlong, Turn } = kinds(channel);
  await Turn!();
  wheel.refuse(1);
  assert.equal((await rejection(() => TurnAlong!(new Uint8Array(300_000)))).rawMessage, "SESSION_EXPIRED");
  await Turn!();
  assert.equal(count(wheel, START), 2);
  wheel.refuse(1);
  assert.equal(await TurnAlong!(new Uint8Array(100_000)), 2);
});

test("a call with a session id of its own keeps it, and starts none", async () => {
  await using wheel = await startWheelMachine({ sessions: { windowMs: 60_000 } });
  await using channel = await dial(wheel.machine.address, { insecure: true, session: true });
  const { id } = await createClient(RobotService, channel).startSession({});
  const wheels = createClient(WheelService, channel);
  const headers = { "viam-sid": id };
  await wheels.turn({ name: "left" }, { headers });
  for await (const _ of wheels.turnOften({ name: "left", turns: 1 }, { headers }));
  assert.deepEqual(wheel.ids, [id, id]);
  assert.equal(count(wheel, START), 1);
});

test("session.methods adds methods that count as monitored", async () => {
  await using wheel = await startWheelMachine();
  const stop = `/${WheelService.typeName}/Stop`;
  await using channel = await dial(wheel.machine.address, { insecure: true, session: { methods: [stop] } });
  await createClient(WheelService, channel).stop({ name: "left" });
  assert.equal(count(wheel, START), 1);
});

test("a session's calls carry the channel's token and headers", async () => {
  await using wheel = await startWheelMachine({
    auth: { credentials: [{ type: "api-key", entity: "key", payload: "secret" }] },
  });
  await using channel = await dial(wheel.machine.address, {
    insecure: true,
    disableWebrtc: true,
    authEntity: "key",
    credentials: { type: "api-key", payload: "secret" },
    session: true,
  });
  await kinds(channel)["Turn"]!();
  assert.deepEqual([count(wheel, START), count(wheel, TURN)], [1, 1]);
  // The session is the entity's, and a call that the machine lets in twice is still made once.
  wheel.machine.revokeTokens();
  await kinds(channel)["Turn"]!().catch(() => {});
  assert.ok(wheel.handled.length <= 2);
});
