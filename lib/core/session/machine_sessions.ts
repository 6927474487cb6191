/** A component or service of a machine that a monitored method has moved. */
export interface MonitoredResource {
  /** The service whose method was called, such as "viam.component.motor.v1.MotorService". */
  readonly service: string;
  /** The resource's name: the field `name` of the request. */
  readonly name: string;
}

/** A session as its owner's last sign of life had it. */
export interface MachineSession {
  readonly id: string;
  /** The caller that started it, and alone may use it. */
  readonly owner: string;
  /** The owner's way to call, "webrtc" or a protocol over HTTP. */
  readonly protocol: string;
}

/** The most sessions that a machine keeps (protocol §6.2). */
export const MAX_SESSIONS = 1_024;

interface Kept {
  session: MachineSession;
  expiresAt: number;
}

/**
 * The sessions of a machine: which are alive, and what to stop when one is not (protocol §6.2). Times are milliseconds
 * on any clock that does not go back.
 */
export class MachineSessions {
  readonly #windowMs: number;
  readonly #sessions = new Map<string, Kept>();
  /** Each resource that a session was the last to move, with that session's id. */
  readonly #movedBy = new Map<string, { readonly resource: MonitoredResource; readonly id: string }>();

  /** @param windowMs How long a session outlives its last sign of life. */
  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** Starts a session. Returns false when there are too many. */
  start(now: number, session: MachineSession): boolean {
    if (this.#sessions.size >= MAX_SESSIONS) return false;
    this.#sessions.set(session.id, { session, expiresAt: now + this.#windowMs });
    return true;
  }

  /** Notes a sign of life. Returns false when there is no such session, or it is another owner's. */
  extend(now: number, session: MachineSession): boolean {
    const kept = this.#sessions.get(session.id);
    if (kept === undefined || kept.expiresAt <= now || kept.session.owner !== session.owner) return false;
    kept.session = session;
    kept.expiresAt = now + this.#windowMs;
    return true;
  }

  /** Notes which session was the last to move a resource; undefined for a call without one, which ends the tie. */
  moved(resource: MonitoredResource, id: string | undefined): void {
    const key = `${resource.service}/${resource.name}`;
    if (id === undefined) this.#movedBy.delete(key);
    else this.#movedBy.set(key, { resource, id });
  }

  /** The sessions that are alive. */
  alive(now: number): MachineSession[] {
    return [...this.#sessions.values()].filter(({ expiresAt }) => expiresAt > now)
      .map(({ session }) => session);
  }

  /** Forgets the sessions that have expired. Returns the resources to stop. */
  expire(now: number): MonitoredResource[] {
    for (const [id, { expiresAt }] of this.#sessions) if (expiresAt <= now) this.#sessions.delete(id);
    const stopped: MonitoredResource[] = [];
    for (const [key, { resource, id }] of this.#movedBy) {
      if (this.#sessions.has(id)) continue;
      this.#movedBy.delete(key);
      stopped.push(resource);
    }
    return stopped;
  }

  /** The time at which the next session expires; undefined when there is none. */
  nextExpiry(): number | undefined {
    const times = Array.from(this.#sessions.values(), ({ expiresAt }) => expiresAt);
    return times.length === 0 ? undefined : Math.min(...times);
  }
}
