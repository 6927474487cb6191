/** The clients of the official SDK, and a machine with what they call. */

import assert from "node:assert/strict";
import type { DescService } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import * as VIAM from "@viamrobotics/sdk";
import { type Machine, type MachineOptions, type Routes, startMachine } from "../../lib/testing/mod.ts";
import { describe, type ServiceInfo } from "./descriptors.ts";

/** A client of a component or service. */
export type ComponentClient = Readonly<Record<string, unknown>>;

/** A class of them. */
export type ComponentClass = new (robot: VIAM.RobotClient, name: string) => ComponentClient;

/** Every client of a component or service that the SDK has, by name. */
export const CLIENTS: ReadonlyMap<string, ComponentClass> = new Map(
  Object.entries(VIAM).filter((entry): entry is [string, never] =>
    /^[A-Z]\w+Client$/.test(entry[0]) && entry[0] !== "RobotClient"
  ),
);

/** Returns the service that a client calls. */
function serviceOf(client: ComponentClass): ServiceInfo {
  let found: ServiceInfo | undefined;
  const robot = {
    createServiceClient(service: ServiceInfo) {
      found = service;
      return {};
    },
    on() {},
  };
  new client(robot as unknown as VIAM.RobotClient, "");
  return found!;
}

type Handler = (request: Record<string, unknown>, context: HandlerContext) => unknown;

const POSE = { x: 1, y: 2, z: 3, oX: 0, oY: 0, oZ: 1, theta: 90 };

/** Refuses a request that is not what it has to be. */
function told(actual: unknown, expected: unknown): object {
  assert.deepEqual(actual, expected);
  return {};
}

/** Handlers by service and method. */
const HANDLERS: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  "viam.component.sensor.v1.SensorService": {
    getReadings: ({ name }) => ({
      readings: {
        name: { kind: { case: "stringValue", value: name } },
        celsius: { kind: { case: "numberValue", value: 21.5 } },
      },
    }),
  },
  "viam.component.motor.v1.MotorService": {
    setPower: ({ name, powerPct }) => told([name, powerPct], ["wheel", 0.5]),
    stop: () => ({}),
    isPowered: () => ({ isOn: true, powerPct: 0.5 }),
  },
  "viam.component.board.v1.BoardService": {
    getGPIO: ({ pin }) => ({ high: pin === "11" }),
    async *streamTicks({ pinNames }) {
      for (const [index, pinName] of (pinNames as string[]).entries()) {
        yield { pinName, high: index % 2 === 0, time: 1_000n };
      }
    },
  },
  "viam.component.camera.v1.CameraService": {
    getImages: () => ({
      images: [{ sourceName: "color", image: Uint8Array.of(0xff, 0xd8), mimeType: "image/jpeg" }],
      responseMetadata: { capturedAt: { seconds: 5n, nanos: 0 } },
    }),
  },
  "viam.component.arm.v1.ArmService": {
    getEndPosition: () => ({ pose: POSE }),
    moveToPosition: ({ to }) => told((to as typeof POSE).theta, POSE.theta),
  },
  "viam.component.servo.v1.ServoService": { getPosition: () => ({ positionDeg: 45 }) },
  "viam.component.gripper.v1.GripperService": {
    grab: () => ({ success: true }),
    isMoving: () => ({ isMoving: true }),
  },
  "viam.component.base.v1.BaseService": {
    setVelocity: ({ linear }) => told((linear as typeof POSE).y, 100),
    getProperties: () => ({ widthMeters: 0.5, turningRadiusMeters: 1, wheelCircumferenceMeters: 2 }),
  },
  "viam.service.vision.v1.VisionService": {
    getDetectionsFromCamera: ({ cameraName }) => ({
      detections: [{ xMin: 1n, xMax: 3n, yMin: 2n, yMax: 4n, confidence: 0.75, className: cameraName }],
    }),
  },
  "viam.service.motion.v1.MotionService": {
    getPose: ({ componentName }) => ({ pose: { referenceFrame: componentName, pose: POSE } }),
  },
  "viam.service.mlmodel.v1.MLModelService": { metadata: () => ({ metadata: { name: "model" } }) },
  "proto.stream.v1.StreamService": {
    getStreamOptions: () => ({ resolutions: [{ width: 640, height: 480 }] }),
  },
};

const robotApi = VIAM.robotApi as unknown as Readonly<Record<string, unknown>>;

/** `RobotService`, whose methods the SDK does not export, with those that answer nothing but what they were asked. */
const ROBOT_SERVICE = describe({
  typeName: "viam.robot.v1.RobotService",
  methods: Object.fromEntries(
    Object.entries({
      CancelOperation: 0,
      BlockForOperation: 0,
      StopAll: 0,
      FrameSystemConfig: 0,
      TransformPose: 0,
      TransformPCD: 0,
      GetModelsFromModules: 0,
      GetCloudMetadata: 0,
      ResourceRPCSubtypes: 0,
      RestartModule: 0,
      GetPose: 0,
      StreamStatus: 1,
      Tunnel: 3,
    }).map(([name, kind]) => [
      name,
      { name, kind, I: robotApi[`${name}Request`], O: robotApi[`${name}Response`] },
    ]),
  ),
});

const robotHandlers: Readonly<Record<string, unknown>> = {
  cancelOperation: () => ({}),
  blockForOperation: () => ({}),
  stopAll: () => ({}),
  frameSystemConfig: () => ({ frameSystemConfigs: [{}] }),
  transformPose: ({ destination }: { destination: string }) => ({ pose: { referenceFrame: destination } }),
  transformPCD: ({ pointCloudPcd }: { pointCloudPcd: Uint8Array }) => ({ pointCloudPcd }),
  getModelsFromModules: () => ({ models: [{ model: "acme:lift:fast" }] }),
  getCloudMetadata: () => ({ machineId: "machine" }),
  resourceRPCSubtypes: () => ({ resourceRpcSubtypes: [{ protoService: "acme.v1.Lift" }] }),
  restartModule: () => ({}),
  getPose: ({ componentName }: { componentName: string }) => ({ pose: { referenceFrame: componentName } }),
  async *streamStatus() {
    for (const name of ["one", "two"]) yield { status: [{ name: { name } }] };
  },
  async *tunnel(requests: AsyncIterable<{ data: Uint8Array }>) {
    for await (const { data } of requests) yield { data };
  },
};

/** The service that `SensorClient` calls. */
export const SENSOR_SERVICE: DescService = describe(serviceOf(CLIENTS.get("SensorClient")!));

/** The methods that every client of the SDK calls; `DoCommand` answers its command. */
export const robotRoutes: Routes = (router) => {
  for (const client of CLIENTS.values()) {
    const service = describe(serviceOf(client));
    router.service(service, {
      ...("doCommand" in service.method
        ? { doCommand: ({ command }: { command: object }) => ({ result: command }) }
        : {}),
      ...HANDLERS[service.typeName],
    } as never);
  }
  router.service(ROBOT_SERVICE, robotHandlers as never);
};

/** Starts a machine with that, which lets everybody in by default. */
export function startRobot(options: MachineOptions = {}): Promise<Machine> {
  return startMachine({ auth: "none", routes: robotRoutes, ...options });
}
