import { Code, ConnectError } from "@connectrpc/connect";
import { attemptPauseMs } from "../core/dial/backoff.ts";
import { type Happening, type Standing, type Step, succeed } from "../core/dial/succession.ts";
import type { DialEvent } from "../events.ts";
import type { Carrier } from "../rpc/carrier.ts";
import { createBackground } from "../runtime/background.ts";
import { linkAbort } from "../runtime/linked_abort.ts";
import { wait } from "../runtime/wait.ts";
import type { ChannelState, Link, Loss } from "./link.ts";

/** A link that is kept alive. */
export interface KeptLink {
  readonly state: ChannelState;
  readonly link: Link;
  /** Number of links after the first one. */
  readonly reconnects: number;
  /**
   * The carrier for a new call; a promise while there is none, or none that can be trusted. Urgent calls do not wait for
   * a link that is only doubted: the machine may stop what moves meanwhile.
   */
  carrier(urgent?: boolean): Carrier | Promise<Carrier>;
  /** Resolves when closed: by `close()`, or with the error of the last attempt. */
  readonly closed: Promise<Error | undefined>;
  close(): Promise<void>;
}

/** Settings of a kept link. */
export interface KeepOptions {
  /** Most attempts in an outage; 0 also leaves a suspected link alone. */
  readonly maxAttempts: number;
  /** Bounds each attempt, in milliseconds. */
  readonly timeoutMs: number;
  /** Makes a new link: an attempt, which ends with the signal at the latest. */
  readonly connect: (signal: AbortSignal) => Promise<Link>;
  /** Returns the pause before an attempt, in milliseconds. */
  readonly pauseMs?: (attempt: number, byMachine: boolean) => number;
  readonly onEvent: (event: DialEvent) => void;
  /** The caller's signal: aborts attempts. */
  readonly signal: AbortSignal | undefined;
}

/** An attempt that is under way. */
interface Attempt {
  readonly result: Promise<Link>;
  /** Gives it up. Resolves when what it made is released; never rejects. */
  drop(): Promise<void>;
}

/**
 * Keeps a link alive. One that is silent is replaced when another has been made beside it before it speaks again; new
 * calls wait for the outcome (`succession.ts`). When it is lost, calls in flight fail, and new ones wait while attempts
 * make another. After the last attempt the link is closed with its error.
 */
export function keepLink(first: Link, options: KeepOptions): KeptLink {
  let link = first;
  let reconnects = 0;
  let standing: Standing = "trusted";
  /** Settles when new calls may go. */
  let verdict: PromiseWithResolvers<Carrier> | undefined;
  /** Under way while the link is suspected. */
  let other: Attempt | undefined;
  let reconnecting: Promise<void> | undefined;
  /** Links that only end their calls. */
  const replaced = new Set<Link>();
  /** Ends of links and attempts that nothing uses any more. */
  const background = createBackground();
  let closing: Promise<void> | undefined;
  let failure: Error | undefined;
  const stop = new AbortController();
  const closed = Promise.withResolvers<Error | undefined>();

  follow(first);

  function follow(current: Link): void {
    void current.lost.then((loss) => {
      if (link === current) happen("lost", loss);
    });
    if (options.maxAttempts <= 0) return;
    current.life?.listen((sign) => {
      if (link === current && sign !== "idle") happen(sign);
    });
  }

  function happen(happening: Happening, cause?: Link | Loss): void {
    const next = succeed(standing, happening);
    standing = next.standing;
    for (const step of next.steps) take(step, cause);
  }

  function take(step: Step, cause: Link | Loss | undefined): void {
    switch (step) {
      case "hold":
        verdict ??= Promise.withResolvers<Carrier>();
        verdict.promise.catch(() => {}); // there may be no waiting call
        return;
      case "release":
        verdict?.resolve(link.carrier);
        verdict = undefined;
        return;
      case "connect":
        return connectBeside();
      case "drop":
        return dropOther();
      case "replace":
        return replace(cause as Link);
      case "reconnect":
        reconnecting = reconnect(link, cause as Loss);
    }
  }

  function attempt(): Attempt {
    const { timeoutMs, signal } = options;
    const bound = linkAbort([stop.signal, signal], {
      timeoutMs,
      onTimeout: () => new DOMException(`not connected after ${timeoutMs} ms`, "TimeoutError"),
    });
    const result = options.connect(bound.signal).finally(() => bound.release());
    return {
      result,
      drop() {
        bound.abort(new DOMException("the connection is alive", "AbortError"));
        return result.then((late) => late.close()).catch(() => {});
      },
    };
  }

  function dropOther(): void {
    if (other !== undefined) background.add(other.drop());
    other = undefined;
  }

  function connectBeside(): void {
    const begun = other = attempt();
    begun.result.then((next) => {
      if (other !== begun) return; // whoever took it has the result
      other = undefined;
      happen("opened", next);
    }, () => {
      if (other === begun) happen("failed");
    });
  }

  /** A listener may make a call, which waits until the steps are done, or may close. */
  function replace(next: Link): void {
    const before = link;
    link = next;
    reconnects++;
    endCalls(before);
    options.onEvent({
      type: "disconnected",
      error: new ConnectError("connection lost: the machine was silent on it", Code.Unavailable),
    });
    if (stop.signal.aborted) return;
    options.onEvent({ type: "connected", kind: next.kind });
    follow(next);
  }

  function endCalls(before: Link): void {
    const over = () => {
      if (replaced.delete(before)) background.add(before.close());
    };
    replaced.add(before);
    if (before.life === undefined || before.life.calls <= 0) return over();
    before.life.listen((sign) => {
      if (sign === "idle") over();
    });
    void before.lost.then(over);
    before.life.replace();
  }

  async function reconnect(before: Link, { error, byMachine }: Loss): Promise<void> {
    let begun = other;
    other = undefined;
    begun?.result.catch(() => {});
    // A listener may call at once, and waits like the others, or may close.
    options.onEvent({ type: "disconnected", error });
    background.add(before.close());
    const pauseMs = options.pauseMs ??
      ((attempt: number) => attemptPauseMs(attempt, byMachine, Math.random()));
    const given = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
    let last = error;
    for (let number = 1; number <= options.maxAttempts && !given.aborted; number++) {
      const delayMs = begun === undefined ? pauseMs(number, byMachine) : 0;
      options.onEvent({ type: "reconnecting", attempt: number, delayMs });
      try {
        if (begun === undefined) await wait(delayMs, given);
        const { result } = begun ?? attempt();
        begun = undefined;
        const next = await result;
        if (stop.signal.aborted) return await next.close();
        link = next;
        reconnects++;
        happen("opened");
        options.onEvent({ type: "connected", kind: next.kind });
        return follow(next);
      } catch (error) {
        if (stop.signal.aborted) return;
        last = errorOf(error);
        options.onEvent({ type: "reconnectfailed", attempt: number, error: last });
      }
    }
    await begun?.drop();
    if (!stop.signal.aborted) end(given.aborted ? errorOf(given.reason) : last);
  }

  function end(error: Error | undefined): void {
    if (standing === "closed") return;
    standing = "closed";
    failure = error;
    verdict?.reject(unavailable(error));
    verdict = undefined;
    for (const one of [link, ...replaced]) one.close().catch(() => {}); // `close()` reports it
    options.onEvent({ type: "closed", error });
    closed.resolve(error);
  }

  return {
    get state() {
      if (standing === "closed") return "closed";
      return standing === "lost" && options.maxAttempts > 0 ? "reconnecting" : "connected";
    },
    get link() {
      return link;
    },
    get reconnects() {
      return reconnects;
    },
    carrier(urgent = false) {
      if (standing === "closed") return Promise.reject(unavailable(failure));
      return urgent && standing === "doubted" ? link.carrier : verdict?.promise ?? link.carrier;
    },
    closed: closed.promise,
    close() {
      closing ??= (async () => {
        // Before the abort, whose listeners may be about to take what has been made.
        dropOther();
        stop.abort(new ConnectError("the channel is closed", Code.Unavailable));
        const last = link;
        end(undefined);
        try {
          await Promise.all([last.close(), ...Array.from(replaced, (one) => one.close())]);
        } finally {
          // Attempts under way release what they have begun.
          await reconnecting;
          await background.over();
        }
      })();
      return closing;
    },
  };
}

/** An abort may have any reason. */
function errorOf(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason), { cause: reason });
}

function unavailable(cause: Error | undefined): ConnectError {
  const text = cause === undefined ? "the channel is closed" : `the channel is closed: ${cause.message}`;
  return new ConnectError(text, Code.Unavailable, undefined, undefined, cause);
}
