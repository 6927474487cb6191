/**
 * A machine in your own process, to test programs against that dial one: native gRPC, gRPC-Web, authentication and
 * signaling on one port, and WebRTC. It has goutils' `EchoService`, what the SDKs' robot clients ask of every
 * machine, and a `ProbeService` to try a connection with; add your own by `routes`.
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
 * machine.faults = { delayMs: 100 }; // what happens to your program when the machine is slow?
 * ```
 *
 * @module
 */
export { startMachine } from "./machine.ts";
export type { CallCounts, Machine, MachineAuth, MachineOptions } from "./machine_options.ts";
export type { AcceptedCredentials } from "./authentication.ts";
export type { OutsideSignaling } from "./cloud_answerer.ts";
export type { Faults, SignalingFaults } from "./faults.ts";
export type { MachineSessionOptions } from "./sessions.ts";
export type { MonitoredResource } from "../core/session/machine_sessions.ts";
export type { ServerTls } from "../server/one_port.ts";
export type { Routes } from "../server/routes.ts";
export type { IceServer } from "./signaling_service.ts";
export { EchoService } from "../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";
export { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
export { RobotService } from "../../proto/gen/viam/robot/v1/robot_pb.ts";
