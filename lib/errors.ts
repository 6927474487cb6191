import type { OptionProblem } from "./core/option_problem.ts";
import type { DialPhase, TimelineEntry } from "./core/timeline.ts";

/** An option, an address or an argument that cannot be used. Thrown before anything is sent. */
export class DialOptionsError extends TypeError {
  /** The name of the class. */
  override readonly name = "DialOptionsError";
  /** Stable, for programs. */
  readonly code = "ERR_DIAL_OPTIONS";
  /** Everything that is wrong, not only the first thing. */
  readonly problems: readonly OptionProblem[];

  /**
   * Made of everything that is wrong.
   *
   * @param problems At least one.
   */
  constructor(problems: readonly OptionProblem[]) {
    const [first, ...others] = problems.map(({ message }) => message);
    super(
      others.length === 0
        ? first
        : `${problems.length} options cannot be used:\n  ${[first, ...others].join("\n  ")}`,
    );
    this.problems = Object.freeze([...problems]);
  }
}

/** One try at getting connected, and what became of it. */
export interface DialAttempt {
  /** "webrtc" through a signaling server, or "direct". */
  readonly path: "webrtc" | "direct";
  /** `host:port` of the signaling server, or of the machine. */
  readonly target: string;
  /** What the try failed with. */
  readonly error: unknown;
}

/** What a `DialError` is made of. */
export interface DialErrorInit {
  /** The phase that failed. */
  readonly phase: DialPhase;
  /** The address as it was given. */
  readonly address: string;
  /** Everything that was tried. */
  readonly attempts?: readonly DialAttempt[];
  /** What happened when, in milliseconds from the start of the dial. */
  readonly timeline?: readonly TimelineEntry[];
  /** What failed the dial. */
  readonly cause?: unknown;
}

/** A dial that failed. `cause` is what failed it: for a refusal by a server, the `ConnectError`. */
export class DialError extends Error {
  /** The name of the class. */
  override readonly name: string = "DialError";
  /** Stable, for programs. */
  readonly code: string = "ERR_DIAL";
  /** The phase that failed. */
  readonly phase: DialPhase;
  /** The address as it was given. */
  readonly address: string;
  /** Everything that was tried. */
  readonly attempts: readonly DialAttempt[];
  /** What happened when, in milliseconds from the start of the dial. */
  readonly timeline: readonly TimelineEntry[];

  /** Made by `dial` and `dialDirect`. */
  constructor(message: string, init: DialErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.phase = init.phase;
    this.address = init.address;
    this.attempts = init.attempts ?? [];
    this.timeline = init.timeline ?? [];
  }
}

/** The dial took longer than `timeoutMs`. */
export class DialTimeoutError extends DialError {
  /** The name of the class. */
  override readonly name = "DialTimeoutError";
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_TIMEOUT";
}

/** The server refused the credentials, or wants some. */
export class AuthenticationError extends DialError {
  /** The name of the class. */
  override readonly name = "AuthenticationError";
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_AUTHENTICATION";
}

/** The server speaks no TLS, and the options do not permit to go on without. Nothing was sent to it. */
export class InsecureConnectionError extends DialError {
  /** The name of the class. */
  override readonly name = "InsecureConnectionError";
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_INSECURE";
  /** Whether credentials would have been sent. */
  readonly authenticated: boolean;

  /** Made by `dial` and `dialDirect`. */
  constructor(message: string, init: DialErrorInit & { readonly authenticated: boolean }) {
    super(message, init);
    this.authenticated = init.authenticated;
  }
}

/** The signaling server knows the machine, and the machine is not there. */
export class HostOfflineError extends DialError {
  /** The name of the class. */
  override readonly name = "HostOfflineError";
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_HOST_OFFLINE";
}

/** The signaling server refused, failed or broke the protocol. */
export class SignalingError extends DialError {
  /** The name of the class. */
  override readonly name = "SignalingError";
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_SIGNALING";
}

/** The runtime does not permit what the dial needs; the message names the flag. */
export class DialPermissionError extends DialError {
  /** The name of the class. */
  override readonly name = "DialPermissionError";
  /** Stable, for programs. */
  override readonly code = "ERR_DIAL_PERMISSION";
}
