/**
 * A machine in your own process, for tests of programs that dial one: native gRPC, gRPC-Web, authentication and
 * signaling on one port, and WebRTC. It serves goutils' `EchoService`, the part of `RobotService` that the SDKs call
 * on every machine, and a `ProbeService` that tests a connection; add your own services by `routes`.
 *
 * @example
 * ```ts
 * import { createClient } from "@connectrpc/connect";
 * import { dial, DialOptions } from "@viam-dial/dial";
 * import { EchoService, startMachine } from "@viam-dial/dial/testing";
 *
 * await using machine = await startMachine({
 *   routes: (router) => router.service(EchoService, { echo: ({ message }) => ({ message: `${message}!` }) }),
 * });
 * await using channel = await dial(machine.address, {
 *   ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
 *   insecure: true,
 * });
 * const { message } = await createClient(EchoService, channel.channel).echo({ message: "hello" });
 * console.log(message, machine.calls.webrtc); // hello! 1
 *
 * machine.faults = { delayMs: 100 }; // see how your program handles a slow machine
 * ```
 *
 * @module
 */
export { startMachine } from "./machine.ts";
export type {
  AcceptedCredentials,
  CallCounts,
  Machine,
  MachineAuth,
  MachineOptions,
} from "./machine_options.ts";
export type { OutsideSignaling } from "./cloud_answerer.ts";
export type { Faults, SignalingFaults } from "./faults.ts";
export type { MachineSessionOptions } from "./sessions.ts";
export type { MonitoredResource } from "../core/session/machine_sessions.ts";
export type { ServerTls } from "../server/one_port.ts";
export type { Routes } from "../server/routes.ts";
export type { IceServer } from "../core/ice/ice.ts";
export { EchoService } from "../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";
export { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
export { RobotService } from "../../proto/gen/viam/robot/v1/robot_pb.ts";
