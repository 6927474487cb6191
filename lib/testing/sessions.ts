import { create, type DescMethod, type Message } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  createContextValues,
  createHandlerContext,
  type HandlerContext,
  type MethodImplSpec,
  type ServiceImpl,
} from "@connectrpc/connect";
import { transformInvokeImplementation } from "@connectrpc/connect/protocol";
import { PeerConnectionType, type RobotService } from "../../proto/gen/viam/robot/v1/robot_pb.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import {
  type MachineSession,
  MachineSessions,
  type MonitoredResource,
} from "../core/session/machine_sessions.ts";
import { isMonitored } from "../core/session/monitored_methods.ts";
import { SESSION_EXPIRED } from "../core/session/session_expired.ts";
import { isUuid } from "../core/uuid.ts";
import { SESSION_KEY } from "../rpc/call_sessions.ts";
import { untilAborted } from "../runtime/wait.ts";
import { type Methods, replaceCalls } from "../server/routes.ts";

/** Settings of sessions. */
export interface MachineSessionOptions {
  /**
   * Time from the last sign of life of a session to its end, in milliseconds: 2,000 by default, as on a real machine.
   */
  readonly windowMs?: number;
  /**
   * Stops what an expired session was the last to move. By default it calls the method `Stop` of the same service with
   * the same `name`, as a real machine does; a service without one has nothing to stop. Nothing catches what it throws.
   */
  readonly stop?: (resource: MonitoredResource) => void | Promise<void>;
}

/** The shortest and the longest window that a real machine can be set to, in milliseconds (protocol §6.2). */
const MIN_WINDOW_MS = 30, MAX_WINDOW_MS = 60_000;

/** The sessions of one machine. */
export interface Sessions {
  /** The methods of `RobotService` that keep them. */
  readonly methods: Required<
    Pick<ServiceImpl<typeof RobotService>, "startSession" | "sendSessionHeartbeat" | "getSessions">
  >;
  /** The same methods: a monitored one is refused when its session is not alive, and tied to it when it is. */
  watch(methods: Methods): Methods;
  /** Stops watching; nothing is stopped after this. */
  close(): void;
}

/**
 * Keeps the sessions of a machine, as viam-server does (protocol §6.2).
 *
 * @param callerOf Returns the entity that a call authenticated as.
 * @param dropped Returns true while heartbeats are lost.
 * @throws TypeError when the window is outside the range of a real machine
 */
export function createSessions(
  { windowMs = 2_000, stop }: MachineSessionOptions,
  callerOf: (context: HandlerContext) => string,
  dropped: () => boolean,
): Sessions {
  if (!(windowMs >= MIN_WINDOW_MS && windowMs <= MAX_WINDOW_MS)) {
    throw new TypeError(
      `sessions.windowMs is ${windowMs}, and must be from ${MIN_WINDOW_MS} to ${MAX_WINDOW_MS}`,
    );
  }
  const sessions = new MachineSessions(windowMs);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let served: Methods = new Map();

  /** Looks again when the next session expires, unless that is awaited already. */
  function schedule(): void {
    const next = sessions.nextExpiry();
    if (timer !== undefined || next === undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      for (const resource of sessions.expire(performance.now())) void (stop ?? callStop)(resource);
      schedule();
    }, Math.max(1, Math.ceil(next - performance.now())));
  }

  async function callStop({ service, name }: MonitoredResource): Promise<void> {
    const path = `/${service}/Stop`;
    const spec = served.get(path);
    if (spec?.kind !== "unary") return;
    const context = createHandlerContext({
      service: spec.method.parent,
      method: spec.method,
      protocolName: "sessions",
      requestMethod: "POST",
      url: `https://sessions${path}`,
      contextValues: createContextValues(),
    });
    try {
      await spec.impl(create(spec.method.input, { name }), context);
    } catch (error) {
      // A service without `Stop` answers Unimplemented.
      if (ConnectError.from(error).code !== Code.Unimplemented) throw error;
    }
  }

  function signOf(id: string, context: HandlerContext): MachineSession {
    return { id, owner: callerOf(context), protocol: context.protocolName };
  }

  /** Ties the resource that a monitored call moves to the session of the call, if it has one. */
  function tie(method: DescMethod, message: Message, context: HandlerContext): void {
    const ids = Metadata.from(context.requestHeader).listOf(SESSION_KEY);
    if (ids.length > 1) {
      throw new ConnectError("found more than one session id in metadata", Code.Unknown);
    }
    const [id] = ids;
    if (id !== undefined) {
      checkUuid(id);
      if (!sessions.extend(performance.now(), signOf(id, context))) throw expired();
    }
    const { name } = message as { name?: unknown };
    if (typeof name === "string" && name !== "") {
      sessions.moved({ service: method.parent.typeName, name }, id);
    }
  }

  function watched(spec: MethodImplSpec): MethodImplSpec {
    return replaceCalls(spec, (context) =>
      async function* (messages) {
        const tied = await seen(messages, (first) => tie(spec.method, first, context));
        yield* transformInvokeImplementation(spec, context, [])(tied);
      });
  }

  return {
    methods: {
      startSession({ resume }, context) {
        const now = performance.now();
        if (resume !== "") {
          checkUuid(resume);
          if (sessions.extend(now, signOf(resume, context))) return answerOf(resume);
        }
        const id = crypto.randomUUID();
        if (!sessions.start(now, signOf(id, context))) {
          throw new ConnectError("too many concurrent sessions", Code.Unknown);
        }
        schedule();
        return answerOf(id);
      },
      async sendSessionHeartbeat({ id }, context) {
        if (dropped()) await untilAborted(context.signal);
        checkUuid(id);
        if (!sessions.extend(performance.now(), signOf(id, context))) throw expired();
        return {};
      },
      getSessions: () => ({
        sessions: sessions.alive(performance.now()).map(({ id, protocol }) => ({
          id,
          peerConnectionInfo: {
            type: protocol === "webrtc" ? PeerConnectionType.WEBRTC : PeerConnectionType.GRPC,
          },
        })),
      }),
    },
    watch(methods) {
      served = methods;
      return new Map(
        Array.from(methods, ([path, spec]) => [path, isMonitored(spec.method) ? watched(spec) : spec]),
      );
    },
    close: () => clearTimeout(timer),
  };

  function answerOf(id: string) {
    return { id, heartbeatWindow: durationFromMs(windowMs) };
  }
}

function expired(): ConnectError {
  return new ConnectError(SESSION_EXPIRED, Code.InvalidArgument);
}

/** viam-server passes on the error of its parser, which has no code. */
function checkUuid(id: string): void {
  if (!isUuid(id)) throw new ConnectError(`invalid UUID ${JSON.stringify(id)}`, Code.Unknown);
}

/** Passes the first message of a stream to `see`, and returns all of them. */
async function seen<T>(messages: AsyncIterable<T>, see: (first: T) => void): Promise<AsyncIterable<T>> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done !== true) see(first.value);
  return (async function* () {
    try {
      if (first.done === true) return;
      yield first.value;
      yield* { [Symbol.asyncIterator]: () => iterator };
    } finally {
      await iterator.return?.();
    }
  })();
}
