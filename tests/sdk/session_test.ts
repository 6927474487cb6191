import assert from "node:assert/strict";
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import * as VIAM from "@viamrobotics/sdk";
import { robotClient } from "../../lib/sdk/mod.ts";
import { type Machine, RobotService } from "../../lib/testing/mod.ts";
import { dial } from "../../mod.ts";
import { test } from "../harness.ts";
import { WheelService } from "../session/proto/gen/viam_dial/test/v1/wheel_pb.ts";
import { startWheelMachine } from "../session/wheel.ts";
import { startRobot } from "./robot.ts";

const START = "/viam.robot.v1.RobotService/StartSession";
const STOP = "/viam.component.motor.v1.MotorService/Stop";
const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

function count(machine: Machine, path: string): number {
  return Object.values(machine.callsTo(path)).reduce((sum, calls) => sum + calls, 0);
}

for (const path of ["webrtc", "direct"] as const) {
  const options = { insecure: true, disableWebrtc: path === "direct" };

  test(`robotClient() keeps a session over ${path}: without heartbeats the machine stops the motor`, async () => {
    const stopped = Promise.withResolvers<string>();
    await using machine = await startRobot({
      sessions: { windowMs: 200, stop: ({ name }) => stopped.resolve(name) },
    });
    await using channel = await dial(machine.address, options);
    const robot = robotClient(channel, VIAM);
    const wheel = new VIAM.MotorClient(robot, "wheel");
    await wheel.isPowered();
    assert.equal(count(machine, START), 0);
    await wheel.setPower(0.5);
    machine.faults = { dropHeartbeats: true };
    assert.equal(await stopped.promise, "wheel");
    assert.equal(count(machine, STOP), 0);
  });

  test(`robotClient() keeps no session over ${path} where the dial has session: false`, async () => {
    await using machine = await startRobot();
    await using channel = await dial(machine.address, { ...options, session: false });
    await new VIAM.MotorClient(robotClient(channel, VIAM), "wheel").setPower(0.5);
    assert.equal(count(machine, START), 0);
  });
}

test("every robotClient() of a channel uses one session, whether or not the dial has session: true", async () => {
  for (const session of [{}, { session: true }]) {
    await using machine = await startRobot();
    await using channel = await dial(machine.address, { insecure: true, ...session });
    for (const robot of [robotClient(channel, VIAM), robotClient(channel, VIAM)]) {
      await new VIAM.MotorClient(robot, "wheel").setPower(0.5);
    }
    const { sessions } = await createClient(RobotService, channel).getSessions({});
    assert.deepEqual([sessions.length, count(machine, START)], [1, 1]);
  }
});

/** Messages as protobuf-es v1 has them. */
function classOf<Desc extends DescMessage>(schema: Desc): unknown {
  return class {
    static readonly typeName = schema.typeName;
    readonly #fields: object;
    constructor(fields: object) {
      this.#fields = fields;
    }
    toBinary(): Uint8Array {
      return toBinary<DescMessage>(schema, create(schema, this.#fields as MessageInitShape<Desc>));
    }
    static fromBinary(bytes: Uint8Array): object {
      return fromBinary(schema, bytes);
    }
  };
}

const infoOf = ({ name, input, output }: DescMethod) => ({
  name,
  kind: 0,
  I: classOf(input),
  O: classOf(output),
});

/** A service of no official component, as protobuf-es v1 has it: without the options of its methods. */
const SERVICE = {
  typeName: WheelService.typeName,
  methods: { turn: infoOf(WheelService.method.turn), stop: infoOf(WheelService.method.stop) },
};

type Wheels = Readonly<Record<"turn" | "stop", (request: { name: string }) => Promise<unknown>>>;

test("methods of other services are monitored as reflection says, which is asked once", async () => {
  await using wheel = await startWheelMachine();
  const { machine } = wheel;
  await using channel = await dial(machine.address, { insecure: true });
  const robot = robotClient(channel, VIAM);
  const wheels = robot.createServiceClient(SERVICE as never) as unknown as Wheels;
  await wheels.stop({ name: "left" });
  assert.equal(count(machine, START), 0);
  const asked = count(machine, REFLECTION);
  assert.ok(asked > 0);
  for (let turn = 0; turn < 2; turn++) await wheels.turn({ name: "left" });
  assert.deepEqual([count(machine, START), count(machine, REFLECTION)], [1, asked]);
  const { sessions: [session] } = await createClient(RobotService, channel).getSessions({});
  assert.deepEqual(wheel.ids, [session?.id, session?.id]);
});

test("methods of other services are monitored where the machine has no reflection", async () => {
  await using wheel = await startWheelMachine({
    faults: { only: (path) => path.startsWith("/grpc.reflection."), refuse: Code.Unimplemented },
  });
  await using channel = await dial(wheel.machine.address, { insecure: true });
  const wheels = robotClient(channel, VIAM).createServiceClient(SERVICE as never) as unknown as Wheels;
  await wheels.turn({ name: "left" });
  assert.equal(count(wheel.machine, START), 1);
  assert.equal(typeof wheel.ids[0], "string");
});
