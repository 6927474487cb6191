import { nameErrors } from "./core/error_name.ts";
import { messageOf } from "./core/error_message.ts";
import { type DialPhase, formatTimeline, type TimelineEntry } from "./core/dial/timeline.ts";

/** All runtimes call it when they print an object. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

type Inspect = (value: unknown, options?: object) => string;

/** One failed attempt to connect. */
export interface DialAttempt {
  /** "webrtc" through a signaling server, or "direct". */
  readonly path: "webrtc" | "direct";
  /** `host:port` of the signaling server, or of the machine. */
  readonly target: string;
  /** The error of the attempt. */
  readonly error: unknown;
}

/** The contents of a `DialError`. */
export interface DialErrorInit {
  /** The phase that failed. */
  readonly phase: DialPhase;
  /** The address as given. */
  readonly address: string;
  /** Every attempt. */
  readonly attempts?: readonly DialAttempt[];
  /** The steps of the dial, with times in milliseconds from its start. */
  readonly timeline?: readonly TimelineEntry[];
  /** The error that ended the dial. */
  readonly cause?: unknown;
}

/**
 * A failed dial. `cause` is the error that ended it; for a refusal by a server, a `ConnectError`. Printing it shows
 * every attempt and the timeline.
 *
 * Source: the `ConnectionError` of Python's `dial`.
 *
 * @example
 * ```ts
 * import { dial, DialError } from "@viam-dial/dial";
 *
 * try {
 *   await using machine = await dial("127.0.0.1:9", { timeoutMs: 1_000 });
 * } catch (error) {
 *   if (!(error instanceof DialError)) throw error;
 *   console.error(error.message, error.phase, error.code);
 * }
 * ```
 */
export class DialError extends Error {
  /** The name of the class. */
  declare readonly name: string;
  /** Stable, for programs. */
  readonly code: string = "ERR_DIAL";
  /** The phase that failed. */
  readonly phase: DialPhase;
  /** The address as given. */
  readonly address: string;
  /** Every attempt. */
  readonly attempts: readonly DialAttempt[];
  /** The steps of the dial, with times in milliseconds from its start. */
  readonly timeline: readonly TimelineEntry[];

  static {
    Object.defineProperty(this.prototype, INSPECT, {
      value(this: DialError, depth: number, options: object, inspect: Inspect) {
        return describeDialError(this, depth, (value) => inspect(value, options));
      },
    });
  }

  /** Made by `dial` and `dialDirect`. */
  constructor(message: string, init: DialErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.phase = init.phase;
    this.address = init.address;
    this.attempts = Object.freeze([...init.attempts ?? []]);
    this.timeline = Object.freeze([...init.timeline ?? []]);
  }
}

/**
 * The dial took longer than `timeoutMs`. Source: Python's `DialOptions.timeout`.
 *
 * @example
 * ```ts
 * import { dial, DialTimeoutError } from "@viam-dial/dial";
 * import { startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine({ faults: { silent: true } });
 * try {
 *   await using machine = await dial(robot.address, { insecure: true, timeoutMs: 200 });
 * } catch (error) {
 *   if (!(error instanceof DialTimeoutError)) throw error;
 *   console.error(error.phase, error.timeline.at(-1)); // the step that it waited for
 * }
 * ```
 */
export class DialTimeoutError extends DialError {
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_TIMEOUT";
}

/**
 * The server refused the credentials, or requires some. Source: gRPC status codes, `UNAUTHENTICATED` and
 * `PERMISSION_DENIED`.
 *
 * @example
 * ```ts
 * import { dial, AuthenticationError } from "@viam-dial/dial";
 * import { startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine();
 * try {
 *   await using machine = await dial(robot.address, { insecure: true });
 * } catch (error) {
 *   if (!(error instanceof AuthenticationError)) throw error;
 *   console.error(error.message, error.cause); // the cause is the server's ConnectError
 * }
 * ```
 */
export class AuthenticationError extends DialError {
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_AUTHENTICATION";
}

/**
 * The server does not speak TLS, and the options do not permit plaintext. No credentials were sent to it.
 *
 * Source: Python's `viam.errors.InsecureConnectionError`.
 *
 * @example
 * ```ts
 * import { dial, InsecureConnectionError } from "@viam-dial/dial";
 * import { startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine();
 * try {
 *   await using machine = await dial(robot.address, {});
 * } catch (error) {
 *   if (!(error instanceof InsecureConnectionError)) throw error;
 *   console.error(error.message, error.authenticated);
 * }
 * ```
 */
export class InsecureConnectionError extends DialError {
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_INSECURE";
  /** True if credentials would have been sent. */
  readonly authenticated: boolean;

  /** Made by `dial` and `dialDirect`. */
  constructor(message: string, init: DialErrorInit & { readonly authenticated: boolean }) {
    super(message, init);
    this.authenticated = init.authenticated;
  }
}

/**
 * The signaling server knows the machine, but the machine is offline. Source: goutils' signaling server, which
 * answers `NotFound` with "host appears to be offline".
 *
 * @example
 * ```ts
 * import { dial, HostOfflineError } from "@viam-dial/dial";
 * import { startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine({ auth: "none", faults: { signaling: { offline: true } } });
 * try {
 *   await using machine = await dial(robot.address, { insecure: true });
 * } catch (error) {
 *   if (!(error instanceof HostOfflineError)) throw error;
 *   console.error(error.message); // and look again later
 * }
 * ```
 */
export class HostOfflineError extends DialError {
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_HOST_OFFLINE";
}

/**
 * The signaling server refused, failed or broke the protocol. Source: `SignalingService` of goutils'
 * `proto/rpc/webrtc/v1`.
 *
 * @example
 * ```ts
 * import { dial, SignalingError } from "@viam-dial/dial";
 * import { startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine({ auth: "none", faults: { signaling: { rejectOffers: "busy" } } });
 * try {
 *   await using machine = await dial(robot.address, { insecure: true });
 * } catch (error) {
 *   if (!(error instanceof SignalingError)) throw error;
 *   console.error(error.phase, error.message);
 * }
 * ```
 */
export class SignalingError extends DialError {
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_SIGNALING";
}

/**
 * The machine answered, but the two ends found no path to each other; or `webrtc.forceRelay` is set, and there is no
 * TURN server. Source: Interactive Connectivity Establishment (RFC 8445).
 *
 * @example
 * ```ts
 * import { dial, IceError } from "@viam-dial/dial";
 * import { startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine({ auth: "none" });
 * try {
 *   await using machine = await dial(robot.address, { insecure: true, webrtc: { forceRelay: true } });
 * } catch (error) {
 *   if (!(error instanceof IceError)) throw error;
 *   console.error(error.message);
 *   for (const { candidates } of error.timeline) console.error(candidates?.local, candidates?.remote);
 * }
 * ```
 */
export class IceError extends DialError {
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_ICE";
}

/**
 * The dial lacks a permission of the runtime; the message says how to grant it. Source: Deno's permissions.
 *
 * @example
 * ```ts
 * import { dial, DialPermissionError } from "@viam-dial/dial";
 * import { startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine({ auth: "none" });
 * try {
 *   await using machine = await dial(robot.address, { insecure: true });
 * } catch (error) {
 *   if (!(error instanceof DialPermissionError)) throw error;
 *   console.error(`start Deno with ${error.flag}`);
 * }
 * ```
 */
export class DialPermissionError extends DialError {
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_PERMISSION";
  /** The flag that permits it, such as `--allow-net`. */
  readonly flag: string;

  /** Made by `dial` and `dialDirect`. */
  constructor(message: string, init: DialErrorInit & { readonly flag: string }) {
    super(message, init);
    this.flag = init.flag;
  }
}

nameErrors({
  DialError,
  DialTimeoutError,
  AuthenticationError,
  InsecureConnectionError,
  HostOfflineError,
  SignalingError,
  IceError,
  DialPermissionError,
});

function describeDialError(error: DialError, depth: number, inspect: (value: unknown) => string): string {
  const { name, message, stack = "", code, phase, address, attempts, timeline, cause } = error;
  if (depth < 0) return `[${name}: ${message}]`;
  const frames = stack.split("\n").filter((line) => /^\s+at /.test(line));
  const indented = (text: string) => text.replaceAll("\n", "\n    ");
  return [
    `${name}: ${message}`,
    ...frames,
    `  code: ${code}, phase: ${phase}, address: ${address}`,
    ...attempts.map(({ path, target, error }, index) =>
      `  attempt ${index + 1}: ${path} ${target}: ${messageOf(error)}`
    ),
    ...(timeline.length === 0 ? [] : [`  timeline:\n    ${indented(formatTimeline(timeline))}`]),
    ...(cause === undefined ? [] : [`  [cause]: ${indented(inspect(cause))}`]),
  ].join("\n");
}
