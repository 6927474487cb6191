import assert from "node:assert/strict";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import * as VIAM from "@viamrobotics/sdk";
import { robotClient } from "../../lib/sdk/mod.ts";
import type { Machine } from "../../lib/testing/mod.ts";
import { untilAborted } from "../../lib/runtime/wait.ts";
import { type AuthenticatedChannel, dial, type DialOptions } from "../../mod.ts";
import { test } from "../harness.ts";
import { runProgram } from "../process/child.ts";
import { rejection } from "../transport/suite.ts";
import { holdComponentsPage } from "./components_page.ts";
import { describe } from "./descriptors.ts";
import { CLIENTS, robotRoutes, SENSOR_SERVICE, startRobot } from "./robot.ts";

const PATHS = ["webrtc", "direct"] as const;

function dialOver(
  path: (typeof PATHS)[number],
  { address }: Machine,
  options: DialOptions = {},
): Promise<AuthenticatedChannel> {
  return dial(address, { ...options, insecure: true, disableWebrtc: path === "direct" });
}

/** A call of a client, and what it returns. */
type Call = readonly [call: (robot: VIAM.RobotClient) => Promise<unknown>, answer: unknown];

const POSE = { x: 1, y: 2, z: 3, oX: 0, oY: 0, oZ: 1, theta: 90 };
const vector = (y: number) => ({ x: 0, y, z: 0 });

/** Calls with arguments and answers of every shape: numbers, bytes, messages, lists and streams. */
const CALLS: Readonly<Record<string, readonly Call[]>> = {
  SensorClient: [[
    (robot) => new VIAM.SensorClient(robot, "thermometer").getReadings(),
    { name: "thermometer", celsius: 21.5 },
  ]],
  MotorClient: [
    [(robot) => new VIAM.MotorClient(robot, "wheel").setPower(0.5), undefined],
    [(robot) => new VIAM.MotorClient(robot, "wheel").isPowered(), [true, 0.5]],
    [(robot) => new VIAM.MotorClient(robot, "wheel").stop(), undefined],
  ],
  BoardClient: [
    [(robot) => new VIAM.BoardClient(robot, "pi").getGPIO("11"), true],
    [(robot) => ticksOf(new VIAM.BoardClient(robot, "pi")), [["a", true, 1_000], ["b", false, 1_000]]],
  ],
  CameraClient: [[
    async (robot) => {
      const { images, metadata } = await new VIAM.CameraClient(robot, "front").getImages();
      return [images.map(({ image, mimeType }) => [[...image], mimeType]), metadata.capturedAt?.seconds];
    },
    [[[[0xff, 0xd8], "image/jpeg"]], 5n],
  ]],
  ArmClient: [
    [async (robot) => ({ ...(await new VIAM.ArmClient(robot, "arm").getEndPosition()) }), POSE],
    [(robot) => new VIAM.ArmClient(robot, "arm").moveToPosition(new VIAM.commonApi.Pose(POSE)), undefined],
  ],
  ServoClient: [[(robot) => new VIAM.ServoClient(robot, "pan").getPosition(), 45]],
  GripperClient: [
    [(robot) => new VIAM.GripperClient(robot, "claw").grab(), undefined],
    [(robot) => new VIAM.GripperClient(robot, "claw").isMoving(), true],
  ],
  BaseClient: [
    [(robot) => new VIAM.BaseClient(robot, "base").setVelocity(vector(100), vector(0)), undefined],
    [
      async (robot) => (await new VIAM.BaseClient(robot, "base").getProperties()).wheelCircumferenceMeters,
      2,
    ],
  ],
  GenericComponentClient: [[
    (robot) =>
      new VIAM.GenericComponentClient(robot, "any").doCommand(
        VIAM.Struct.fromJson({ deep: [{ a: 1 }, null] }),
      ),
    { deep: [{ a: 1 }, null] },
  ]],
  VisionClient: [[
    async (robot) => {
      const [found] = await new VIAM.VisionClient(robot, "eye").getDetectionsFromCamera("front");
      return [found?.className, found?.confidence, found?.xMin, found?.yMax];
    },
    ["front", 0.75, 1n, 4n],
  ]],
  MotionClient: [[
    async (robot) => (await new VIAM.MotionClient(robot, "plan").getPose("arm", "world", [])).pose?.theta,
    90,
  ]],
};

async function ticksOf(board: VIAM.BoardClient): Promise<unknown> {
  const ticks: VIAM.Tick[] = [];
  await board.streamTicks(["a", "b"], ticks);
  return ticks.map(({ pinName, high, time }) => [pinName, high, time]);
}

for (const path of PATHS) {
  test(`the official clients of components call the machine over ${path}`, async () => {
    await using machine = await startRobot();
    await using channel = await dialOver(path, machine);
    const robot = robotClient(channel, VIAM);
    for (const [name, calls] of Object.entries(CALLS)) {
      for (const [call, answer] of calls) assert.deepEqual(await call(robot), answer, name);
    }
  });
}

test("every official client is constructed and called, on both paths, as docs/components.md says", async () => {
  await using machine = await startRobot();
  const constructed = new Set<string>(), called = new Set<string>();
  for (const path of PATHS) {
    await using channel = await dialOver(path, machine);
    const robot = robotClient(channel, VIAM);
    for (const [name, Client] of CLIENTS) {
      const client = new Client(robot, "any");
      constructed.add(name);
      if (client instanceof VIAM.MLModelClient) {
        assert.equal((await client.metadata()).metadata?.name, "model");
      } else if (client instanceof VIAM.StreamClient) {
        assert.equal((await client.getOptions("camera"))[0]?.width, 640);
      } else {
        const command = VIAM.Struct.fromJson({ client: name });
        const doCommand = client["doCommand"] as (command: VIAM.Struct) => Promise<unknown>;
        assert.deepEqual(await doCommand.call(client, command), { client: name });
      }
      called.add(name);
    }
  }
  await holdComponentsPage({ clients: [...CLIENTS.keys()], constructed, called, typed: Object.keys(CALLS) });
});

/** Methods of `RobotClient` that connect. */
const CONNECTING: Readonly<Record<string, (robot: VIAM.RobotClient) => Promise<unknown>>> = {
  dial: (robot) => robot.dial({ host: "localhost" }),
  connect: (robot) => robot.connect(),
  disconnect: (robot) => robot.disconnect(),
};

const frame = new VIAM.PoseInFrame({ referenceFrame: "arm" });

/** The other methods of `RobotClient`, each with what the machine answers. */
const METHODS: Readonly<Record<string, Call>> = {
  getSessions: [(robot) => robot.getSessions(), []],
  getOperations: [(robot) => robot.getOperations(), []],
  cancelOperation: [(robot) => robot.cancelOperation("id"), undefined],
  blockForOperation: [(robot) => robot.blockForOperation("id"), undefined],
  stopAll: [(robot) => robot.stopAll(), undefined],
  frameSystemConfig: [async (robot) => (await robot.frameSystemConfig([])).length, 1],
  transformPose: [async (robot) => (await robot.transformPose(frame, "world", [])).referenceFrame, "world"],
  transformPCD: [async (robot) => [...await robot.transformPCD(Uint8Array.of(1, 2), "a", "b")], [1, 2]],
  getModelsFromModules: [
    async (robot) => (await robot.getModelsFromModules()).map(({ model }) => model),
    ["acme:lift:fast"],
  ],
  getCloudMetadata: [async (robot) => (await robot.getCloudMetadata()).machineId, "machine"],
  resourceNames: [
    async (robot) => (await robot.resourceNames()).map(({ name }) => name),
    ["thermometer", "wheel"],
  ],
  resourceRPCSubtypes: [
    async (robot) => (await robot.resourceRPCSubtypes()).map(({ protoService }) => protoService),
    ["acme.v1.Lift"],
  ],
  getMachineStatus: [
    async (robot) => (await robot.getMachineStatus()).state,
    VIAM.robotApi.GetMachineStatusResponse_State.RUNNING,
  ],
  getVersion: [async (robot) => (await robot.getVersion()).platform, "viam-dial"],
  restartModule: [(robot) => robot.restartModule("id"), undefined],
  getPose: [async (robot) => (await robot.getPose("arm", "world", [])).referenceFrame, "arm"],
  isConnected: [(robot) => Promise.resolve(robot.isConnected()), true],
};

/** Members of `RobotClient` that are private in its types. */
const OWN = [
  "constructor",
  "cleanupEventListeners",
  "createServiceClient",
  "onDisconnect",
  "dialWebRTC",
  "dialDirect",
  "resetDialing",
  "createBackOffOpts",
  "tryWebRTCDial",
  "tryDirectDial",
  "performDial",
];

test("robotClient() has every method of RobotClient: those that connect say who does, the others call", async () => {
  const { prototype } = VIAM.RobotClient;
  const methods = Object.entries(Object.getOwnPropertyDescriptors(prototype))
    .filter(([, { value }]) => typeof value === "function").map(([name]) => name);
  assert.deepEqual(
    methods.toSorted(),
    [...Object.keys(CONNECTING), ...Object.keys(METHODS), ...OWN].toSorted(),
  );

  await using machine = await startRobot();
  for (const path of PATHS) {
    await using channel = await dialOver(path, machine);
    const robot = robotClient(channel, VIAM);
    assert.ok(robot instanceof VIAM.RobotClient);
    for (const [name, [call, answer]] of Object.entries(METHODS)) {
      assert.deepEqual(await call(robot), answer, name);
    }
    for (const [name, connect] of Object.entries(CONNECTING)) {
      const error = await rejection(() => connect(robot));
      assert.equal(error.code, Code.FailedPrecondition, name);
      assert.match(error.rawMessage, /uses a channel of @viam-dial\/dial, which connects/, name);
    }
    assert.equal(channel.state, "connected");
  }
});

for (const path of PATHS) {
  test(`errors, headers, deadlines and signals of the official clients are those of the channel over ${path}`, async () => {
    const seen: (string | null)[] = [];
    await using machine = await startRobot({
      routes: (router) => {
        robotRoutes(router);
        router.service(SENSOR_SERVICE, {
          async getReadings({ name }: { name: string }, { requestHeader, signal }: HandlerContext) {
            seen.push(requestHeader.get("x-one"));
            if (name === "slow") await untilAborted(signal);
            throw new ConnectError("no such sensor", Code.NotFound, { "x-why": "unplugged" });
          },
        } as never);
      },
    });
    await using channel = await dialOver(path, machine, { headers: { "x-one": "the channel's" } });
    const robot = robotClient(channel, VIAM);
    const [gone, slow] = ["gone", "slow"].map((name) => new VIAM.SensorClient(robot, name));

    const error = await rejection(() => gone!.getReadings());
    assert.deepEqual([error.code, error.rawMessage], [Code.NotFound, "no such sensor"]);
    assert.equal(error.metadata.get("x-why"), "unplugged");
    await rejection(() => gone!.getReadings({}, { headers: { "x-one": "the call's" } }));
    assert.deepEqual(seen.splice(0), ["the channel's", "the call's"]);

    assert.equal(
      (await rejection(() => slow!.getReadings({}, { timeoutMs: 20 }))).code,
      Code.DeadlineExceeded,
    );
    const signal = AbortSignal.timeout(20);
    assert.equal((await rejection(() => slow!.getReadings({}, { signal }))).code, Code.Canceled);
  });

  test(`streams of RobotClient.robotService go both ways over ${path}`, async () => {
    await using machine = await startRobot();
    await using channel = await dialOver(path, machine, path === "direct" ? { protocol: "grpc" } : {});
    const { robotService } = robotClient(channel, VIAM);
    const names: (string | undefined)[] = [];
    for await (const { status } of robotService.streamStatus({})) names.push(status[0]?.name?.name);
    assert.deepEqual(names, ["one", "two"]);

    async function* requests() {
      for (const byte of [1, 2, 3]) yield { data: Uint8Array.of(byte) };
    }
    const echoed: number[] = [];
    for await (const { data } of robotService.tunnel(requests())) {
      echoed.push(...data);
      if (echoed.length === 2) break;
    }
    assert.deepEqual(echoed, [1, 2]);
  });
}

test("a message of the official clients is encoded once, and decoded once", async () => {
  await using machine = await startRobot();
  await using channel = await dialOver("direct", machine);
  const wheel = new VIAM.MotorClient(robotClient(channel, VIAM), "wheel");
  const { IsPoweredRequest, IsPoweredResponse } = VIAM.motorApi;
  const { toBinary } = IsPoweredRequest.prototype, { fromBinary } = IsPoweredResponse;
  let encoded = 0, decoded = 0;
  IsPoweredRequest.prototype.toBinary = function (...args) {
    encoded++;
    return toBinary.apply(this, args);
  };
  IsPoweredResponse.fromBinary = (...args) => {
    decoded++;
    return fromBinary.apply(IsPoweredResponse, args);
  };
  try {
    await wheel.isPowered();
  } finally {
    IsPoweredRequest.prototype.toBinary = toBinary;
    IsPoweredResponse.fromBinary = fromBinary;
  }
  assert.deepEqual([encoded, decoded], [1, 1]);
});

test("a message that cannot be encoded or decoded fails its call with Internal", async () => {
  // Its field 1 is a number, where the readings are a map.
  const { IsMovingResponse } = VIAM.motorApi;
  const odd = describe({
    typeName: SENSOR_SERVICE.typeName,
    methods: {
      getReadings: {
        name: "GetReadings",
        kind: 0,
        I: VIAM.commonApi.GetReadingsRequest,
        O: IsMovingResponse,
      },
    },
  });
  await using machine = await startRobot({
    routes: (router) => router.service(odd, { getReadings: () => ({ isMoving: true }) } as never),
  });
  await using channel = await dialOver("direct", machine);
  const robot = robotClient(channel, VIAM);
  const unreadable = await rejection(() => new VIAM.SensorClient(robot, "odd").getReadings());
  assert.equal(unreadable.code, Code.Internal);
  assert.match(unreadable.rawMessage, /cannot parse the server's viam\.common\.v1\.GetReadingsResponse/);
  const unwritable = await rejection(() => new VIAM.ServoClient(robot, "pan").move(-1));
  assert.equal(unwritable.code, Code.Internal);
  assert.match(unwritable.rawMessage, /cannot serialize viam\.component\.servo\.v1\.MoveRequest/);
});

test("RobotClient passes on the events of the channel, to those who listen", async () => {
  await using machine = await startRobot();
  await using channel = await dialOver("webrtc", machine);
  const robot = robotClient(channel, VIAM);
  const { CONNECTED, CONNECTING, DISCONNECTED } = VIAM.MachineConnectionEvent;
  const seen: unknown[] = [];
  const back = new Promise<void>((resolve) => robot.once(CONNECTED, () => resolve()));
  robot.on("connectionstatechange", (event) => seen.push((event as { eventType: unknown }).eventType));
  machine.dropConnections();
  await back;
  // There may be more than one attempt.
  assert.deepEqual([...new Set(seen)], [DISCONNECTED, CONNECTING, CONNECTED]);
  assert.equal(robot.isConnected(), true);
  await channel.close();
  assert.equal(robot.isConnected(), false);
});

test("StreamClient.getStream() fails at once, says why, and does not end the process", async () => {
  await using machine = await startRobot();
  const { code, stdout, stderr } = await runProgram("tests/sdk/programs/video.ts", {
    args: [machine.address, "50"],
  });
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^ConnectError: \[unimplemented\] .* carries no video: .*\nalive\n$/);
});

test("StreamClient.add() fails, and asks the machine for nothing", async () => {
  await using machine = await startRobot();
  await using channel = await dialOver("direct", machine);
  const stream = new VIAM.StreamClient(robotClient(channel, VIAM));
  assert.equal((await rejection(() => stream.add("camera"))).code, Code.Unimplemented);
  assert.equal(machine.callsTo("/proto.stream.v1.StreamService/AddStream").grpc, 0);
});
