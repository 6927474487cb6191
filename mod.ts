/**
 * Dials Viam machines from Deno, Bun and Node: over WebRTC, from anywhere, or directly. The result is a Connect
 * `Transport`, which any generated service works on. Names and behaviour follow Python's `viam.rpc.dial`.
 *
 * @example
 * ```ts
 * import { createClient } from "@connectrpc/connect";
 * import { dial, DialOptions } from "@viam-dial/dial";
 * import { EchoService, startMachine } from "@viam-dial/dial/testing";
 *
 * // A machine of our own stands in for a robot here; dial "my-robot-main.abcdef.viam.cloud" the same way.
 * await using robot = await startMachine();
 * await using machine = await dial(robot.address, {
 *   ...DialOptions.withApiKey(robot.apiKey, robot.apiKeyId),
 *   insecure: true,
 * });
 * const { message } = await createClient(EchoService, machine.channel).echo({ message: "hello" });
 * console.log(message);
 * ```
 *
 * @module
 */
export { dial, dialDirect } from "./lib/dial/dial.ts";
export { DialOptions } from "./lib/options/dial_options.ts";
export type { ExternalAuth, SessionOptions, TlsOptions, WebrtcOptions } from "./lib/options/dial_options.ts";
export { DialOptionsError } from "./lib/options/options_error.ts";
export { deadline } from "./lib/options/deadline.ts";
export { resolveDialOptions } from "./lib/options/resolve.ts";
export type { ResolvedDialOptions } from "./lib/options/resolve.ts";
export type { Credentials, CredentialType } from "./lib/options/credentials.ts";
export { AuthenticatedChannel, ViamChannel } from "./lib/channel/channel.ts";
export type { ChannelPath, ChannelState } from "./lib/channel/link.ts";
export type { ChannelStats, SendingStats, WireStats } from "./lib/channel/stats.ts";
export type { ChannelEvent, ChannelEventMap, ChannelKind, DialEvent } from "./lib/events.ts";
export {
  AuthenticationError,
  DialError,
  DialPermissionError,
  DialTimeoutError,
  HostOfflineError,
  IceError,
  InsecureConnectionError,
  SignalingError,
} from "./lib/errors.ts";
export type { DialAttempt } from "./lib/errors.ts";
export type { OptionProblem } from "./lib/options/problem.ts";
export type { ReflectedServices } from "./lib/core/grpc/reflected_services.ts";
export type { DialPhase, TimelineCandidates, TimelineEntry } from "./lib/core/dial/timeline.ts";
export type {
  Candidate as IceCandidate,
  CandidatePair as IceCandidatePair,
  CandidateType as IceCandidateType,
} from "./lib/core/ice/candidate.ts";
export type { IceServer } from "./lib/core/ice/ice.ts";
export type { Address } from "./lib/core/net/address.ts";
export { Metadata } from "./lib/core/grpc/metadata.ts";
export { LOGGER } from "./lib/logger.ts";
export type { Logger, LogLevel, ModuleLogger } from "./lib/logger.ts";
