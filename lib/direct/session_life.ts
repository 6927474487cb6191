import type { ClientHttp2Session } from "node:http2";
import { Liveness, type LivenessAction, LOOK_MS } from "../core/channel/liveness.ts";
import { connectionFailure } from "../core/net/connection_error.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";

/**
 * Bytes in front of a question above which silence means nothing: the system's buffer may hold megabytes of an upload,
 * which take a slow link many seconds.
 */
const FEW_BYTES = 32 * 1024;

/** Watches a session for signs of life while a call is unanswered. */
export interface SessionLife {
  /** True while the server is suspected to be gone: no new calls. */
  readonly isSuspected: boolean;
  /** True while new calls wait for an answer of the server: the computer has slept, or its network has changed. */
  readonly isDoubted: boolean;
  /** Notes that a call goes out. */
  calling(): void;
  /** Notes a sign of life. */
  heard(): void;
  /** Notes that a write of so many bytes begins. */
  writing(bytes: number): void;
  /** Notes that the system has taken a write of so many bytes. */
  wrote(bytes: number): void;
  /** Bytes that the system has taken so far. */
  readonly taken: number;
  /** Notes that the server has what the system had taken at a moment. */
  arrived(taken: number): void;
  /** Asks for a sign of life at once: the computer has slept, or its network has changed. */
  doubt(): void;
  /** Another session has taken over: this one ends its calls, or loses them after 4 s without a sign of life. */
  replace(): void;
  stop(): void;
}

/** Settings of a watch. */
export interface SessionWatch {
  /** A round trip as connecting took it, in milliseconds. */
  readonly roundTripMs: number;
  /** Returns the least time between two questions, in milliseconds. */
  readonly questionMs: () => number;
  /** Told at every look. */
  readonly onLook: () => void;
  /** Told when a suspicion begins, or it or a doubt is over. */
  readonly onVerdict: () => void;
}

/**
 * Watches a session by the rules of data channels (`liveness.ts`). The question is a ping, which follows a call that
 * nothing has come after: a server that has answered, and computes, is not asked again.
 */
export function watchSession(http2: ClientHttp2Session, watch: SessionWatch): SessionLife {
  const liveness = new Liveness(performance.now(), watch.roundTripMs);
  let looking: ReturnType<typeof setInterval> | undefined;
  let isSuspected = false, isUnanswered = false, stopped = false;
  let asked = 0, askedAt = -Infinity;
  /** Set from a question to a sign of life, or, after a doubt, to its answer. */
  let isAsking = false, isDoubted = false;
  let written = 0, taken = 0, arrived = 0;

  /** True while more may be on its way than a question passes in time. */
  const isUploading = () => written - arrived > FEW_BYTES;

  function stop(): void {
    stopped = true;
    rest();
  }

  function rest(): void {
    clearInterval(looking);
    looking = undefined;
  }

  function begin(): void {
    if (looking !== undefined || stopped) return;
    looking = setInterval(look, LOOK_MS);
    // Calls keep the process alive, and their session.
    unrefTimer(looking);
  }

  function judge(suspected: boolean): void {
    if (stopped) return;
    isSuspected = suspected;
    watch.onVerdict();
  }

  function ask(): void {
    const question = ++asked;
    askedAt = performance.now();
    isAsking = true;
    liveness.asked(askedAt);
    begin();
    ping(() => {
      if (question !== asked) return;
      isUnanswered = isAsking = isDoubted = false;
      if (liveness.answered(performance.now())) judge(false);
    });
  }

  /** Learns what has arrived, and suspects nobody meanwhile. */
  function measure(): void {
    askedAt = performance.now();
    ping(() => {});
  }

  function ping(answered: () => void): void {
    const before = taken;
    http2.ping((error) => {
      if (error !== null || stopped) return;
      arrived = Math.max(arrived, before);
      answered();
    });
  }

  function look(): void {
    if (http2.destroyed || http2.closed) return stop();
    watch.onLook();
    if (isUploading() && !isAsking) return rest();
    const now = performance.now();
    const mayAsk = isUnanswered && now - askedAt >= watch.questionMs();
    const calls = Number(mayAsk);
    act(liveness.look(now, { calls, sent: 0, waiting: 0, received: 0, roundTripMs: undefined }));
  }

  function act(action: LivenessAction): void {
    switch (action) {
      case "doubt":
        isDoubted = true;
        return ask();
      case "ask":
        return ask();
      case "suspect":
        return judge(true);
      case "lost":
        return http2.destroy(connectionFailure("ECONNRESET", "the server gives no sign of life"));
      case "rest":
        return rest();
    }
  }

  return {
    get isSuspected() {
      return isSuspected;
    },
    get isDoubted() {
      return isDoubted && !isSuspected;
    },
    calling() {
      isUnanswered = true;
      if (looking !== undefined || stopped || performance.now() - askedAt < watch.questionMs()) return;
      if (isUploading()) return measure();
      liveness.begin(performance.now());
      begin();
    },
    heard() {
      isUnanswered = false;
      isAsking &&= isDoubted;
      if (liveness.heard()) judge(false);
    },
    writing(bytes) {
      written += bytes;
    },
    wrote(bytes) {
      taken += bytes;
    },
    get taken() {
      return taken;
    },
    arrived(before) {
      arrived = Math.max(arrived, before);
    },
    doubt() {
      if (stopped || http2.destroyed || isUploading()) return;
      if (liveness.doubt(performance.now())) act("doubt");
    },
    replace() {
      liveness.replace();
      begin();
    },
    stop,
  };
}
