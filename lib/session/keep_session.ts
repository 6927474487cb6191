import type { DescMethod } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { RobotService } from "../../proto/gen/viam/robot/v1/robot_pb.ts";
import type { ReflectedServices } from "../core/grpc/reflected_services.ts";
import { ClientSession } from "../core/session/client_session.ts";
import { isMonitored } from "../core/session/monitored_methods.ts";
import { isSessionExpired } from "../core/session/session_expired.ts";
import type { DialEvent } from "../events.ts";
import type { Logger } from "../logger.ts";
import type { CallSessions } from "../rpc/call_sessions.ts";
import { isRawMethod } from "../rpc/raw_method.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";

/** Time to start a session, in milliseconds. */
const START_TIMEOUT_MS = 20_000;

/** Parts that keep a session. */
export interface SessionOptions {
  /** Carries the session's own calls. */
  readonly transport: Transport;
  /** Resolves once calls go through; rejects when they never will. */
  readonly connected: () => unknown;
  /** Methods that count as monitored, too, as `/package.Service/Method`. */
  readonly methods: readonly string[];
  readonly log: (level: keyof Logger, message: string) => void;
}

/** A session that is kept. */
export interface KeptSession extends CallSessions {
  /** Told what happens to the channel: it resumes the session on a new connection, and ends heartbeats at the end. */
  heard(event: DialEvent): void;
  /** Told when a direct channel, which reports no events, loses a connection: the next may lead to another machine. */
  connectionLost(): void;
}

/** Keeps one session with a machine (protocol §6.2): starts it when it is first needed, and keeps it alive. */
export function keepSession({ transport, connected, methods, log }: SessionOptions): KeptSession {
  const robot = createClient(RobotService, transport);
  const session = new ClientSession();
  const own = new Set(methods);
  let monitored = new WeakMap<DescMethod, boolean>();
  let reflection: Promise<ReflectedServices | undefined> | undefined;
  let starting: Promise<void> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  function monitors(method: DescMethod): boolean | Promise<boolean> {
    const known = monitored.get(method);
    if (known !== undefined) return known;
    const { typeName } = method.parent;
    const path = `/${typeName}/${method.name}`;
    const found = isMonitored(method) || own.has(path);
    // The list covers Viam's own services. A raw method of another service has no options to look at.
    if (!found && isRawMethod(method) && !/^(?:viam|proto|grpc)\./.test(typeName)) {
      return askReflection(method, path);
    }
    monitored.set(method, found);
    return found;
  }

  /** A method that reflection does not describe counts as monitored: an unneeded session does no harm. */
  async function askReflection(method: DescMethod, path: string): Promise<boolean> {
    const described = (await (reflection ??= reflect()))?.getMethod(path);
    const found = described === undefined || isMonitored(described);
    monitored.set(method, found);
    return found;
  }

  /** Asked once; again only after the question failed. Undefined from a machine without reflection. */
  async function reflect(): Promise<ReflectedServices | undefined> {
    try {
      const { reflectServices } = await import("../reflection/reflect.ts");
      return await reflectServices(transport);
    } catch (error) {
      if (ConnectError.from(error).code === Code.Unimplemented) return undefined;
      reflection = undefined;
      throw error;
    }
  }

  /** The id of a live session, which is started if need be; undefined where the machine keeps none. */
  function idNow(): string | undefined | Promise<string | undefined> {
    const now = session.forCall();
    if (now === "none") return undefined;
    return "id" in now ? now.id : start().then(idNow);
  }

  /** Starts or resumes the session; at once for all who need it. */
  function start(): Promise<void> {
    return starting ??= ask().finally(() => starting = undefined);
  }

  async function ask(): Promise<void> {
    await connected();
    const now = session.forCall();
    if (now === "none" || "id" in now) return;
    const askedAt = performance.now();
    try {
      const { id, heartbeatWindow } = await robot.startSession(
        { resume: now.resume },
        { timeoutMs: START_TIMEOUT_MS },
      );
      const windowMs = heartbeatWindow === undefined ? 0 : durationMs(heartbeatWindow);
      if (now.resume !== id) expired(now.resume);
      session.started(askedAt, performance.now(), id, windowMs);
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unimplemented) throw error;
      session.unsupported();
    }
    if (session.forCall() === "none") {
      log("warn", "the machine keeps no sessions: it does not stop when this program does");
    }
    beat();
  }

  /** Sends the heartbeat that is due, and waits for the next. */
  function beat(): void {
    clearTimeout(timer);
    if (closed) return;
    for (;;) {
      const next = session.beat(performance.now());
      if (next === undefined) return;
      if ("inMs" in next) {
        timer = setTimeout(beat, next.inMs);
        unrefTimer(timer);
        return;
      }
      void sendHeartbeat(next.id, next.windowMs);
    }
  }

  /** An answer that takes longer than the window is of no use any more. */
  async function sendHeartbeat(id: string, windowMs: number): Promise<void> {
    const sentAt = performance.now();
    try {
      await robot.sendSessionHeartbeat({ id }, { timeoutMs: windowMs });
      session.answered(sentAt, performance.now(), id);
    } catch (error) {
      // Without that method it is another machine by now, or a gateway answers for it. The next monitored call finds out.
      if (isSessionExpired(error) || ConnectError.from(error).code === Code.Unimplemented) expired(id);
    }
  }

  function expired(id: string): void {
    if (session.expired(id)) log("warn", "the session expired: the machine stops what it moved");
  }

  /** The machine may come back as another version of itself. */
  function mayBeAnother(): void {
    reflection = undefined;
    monitored = new WeakMap();
    session.mayBeAnother();
  }

  async function resume(): Promise<void> {
    // One that was asked for on the lost connection fails with it.
    await starting?.catch(() => {});
    await idNow();
  }

  return {
    idFor(method) {
      const found = monitors(method);
      if (found instanceof Promise) return found.then((needsId) => needsId ? idNow() : undefined);
      return found ? idNow() : undefined;
    },
    answered: (id, sentAt) => session.answered(sentAt, performance.now(), id),
    expired,
    connectionLost: mayBeAnother,
    heard({ type }) {
      if (type === "disconnected") {
        session.disconnected();
        mayBeAnother();
      }
      if (type === "connected" && session.reconnected()) {
        resume().catch((error) =>
          log("warn", `cannot resume the session: ${ConnectError.from(error).message}`)
        );
      }
      if (type === "closed") {
        closed = true;
        clearTimeout(timer);
      }
    },
  };
}
