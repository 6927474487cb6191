import { IDLE_MS, Liveness, type LivenessAction, LOOK_MS, type Sighting } from "../core/channel/liveness.ts";
import type { Life, LifeSign } from "../rpc/life.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";

/** The connection under watch. */
export interface Watched {
  /** Returns its current state. */
  look(): Sighting;
  /** Asks the machine for an answer. */
  ask(answered: () => void): void;
  /** Asks the machine's engine for an answer. */
  ping(): Promise<void>;
  /** The machine is gone. */
  lost(): void;
  /** A round trip as the dial measured it, in milliseconds. */
  readonly roundTripMs: number;
}

/** Watches one connection. */
export interface LivenessWatch {
  readonly life: Life;
  /** Notes that something arrived. */
  heard(): void;
  /** Notes that a call was opened. */
  calling(): void;
  /** Stops watching. */
  stop(): void;
}

/** Watches a connection: closely while there are calls on it or a question is open, else now and then. */
export function watchLiveness(watched: Watched): LivenessWatch {
  const liveness = new Liveness(performance.now(), watched.roundTripMs);
  let tell: (sign: LifeSign) => void = () => {};
  let looking: ReturnType<typeof setInterval> | undefined;
  let resting: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  /** The number of doubts: an answer to a question from before the last one counts no more. */
  let doubts = 0;

  function stop(): void {
    stopped = true;
    clearInterval(looking);
    clearTimeout(resting);
    looking = resting = undefined;
  }

  function begin(): void {
    if (looking !== undefined || stopped) return;
    clearTimeout(resting);
    resting = undefined;
    looking = setInterval(() => act(liveness.look(performance.now(), watched.look())), LOOK_MS);
    // The connection itself keeps the process alive, until it is closed.
    unrefTimer(looking);
  }

  function rest(): void {
    clearInterval(looking);
    clearTimeout(resting);
    looking = undefined;
    resting = setTimeout(() => {
      liveness.doubt(performance.now(), true);
      doubts++;
      ask();
    }, IDLE_MS);
    unrefTimer(resting);
  }

  function ask(): void {
    begin();
    liveness.asked(performance.now());
    const asked = doubts;
    watched.ask(() => {
      if (asked === doubts && !stopped && liveness.answered(performance.now())) tell("alive");
    });
  }

  function ping(): void {
    void watched.ping().then(() => liveness.engineAnswered());
  }

  function doubt(): void {
    doubts++;
    ask();
    tell("doubted");
  }

  function act(action: LivenessAction): void {
    switch (action) {
      case "ask":
        return ask();
      case "doubt":
        return doubt();
      case "suspect":
        ping();
        return tell("suspected");
      case "ping":
        return ping();
      case "alive":
        return tell("alive");
      case "lost":
        return watched.lost();
      case "rest":
        rest();
        return tell("idle");
    }
  }

  return {
    life: {
      get calls() {
        return watched.look().calls;
      },
      listen(listener) {
        tell = listener;
        if (looking === undefined && !stopped) rest();
      },
      doubt() {
        if (!stopped && liveness.doubt(performance.now())) doubt();
      },
      ask: (answered) => watched.ask(answered),
      replace() {
        liveness.replace();
        begin();
      },
    },
    heard() {
      if (!stopped && liveness.heard()) tell("alive");
    },
    calling() {
      if (looking !== undefined || stopped) return;
      liveness.begin(performance.now());
      begin();
    },
    stop,
  };
}
