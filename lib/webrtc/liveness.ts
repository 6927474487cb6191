import { Liveness, LOOK_MS, type Sighting } from "../core/channel/liveness.ts";

/** Watches one connection. */
export interface LivenessWatch {
  /** Notes that something arrived. */
  heard(): void;
  /** Notes that a call was opened. */
  calling(): void;
  /** Stops watching. */
  stop(): void;
}

/**
 * Watches a connection while there are calls on it.
 *
 * @param look Returns the current state of the connection.
 * @param ask Asks the machine for an answer.
 * @param lost Called when two questions in a row were not answered.
 */
export function watchLiveness(look: () => Sighting, ask: () => void, lost: () => void): LivenessWatch {
  const liveness = new Liveness();
  let timer: ReturnType<typeof setInterval> | undefined;
  let stopped = false;

  function stop(): void {
    clearInterval(timer);
    timer = undefined;
  }

  function check(): void {
    const sighting = look();
    if (sighting.calls <= 0) return stop();
    const todo = liveness.look(performance.now(), sighting);
    if (todo === "ask") ask();
    else if (todo === "lost") lost();
  }

  return {
    heard() {
      if (timer !== undefined) liveness.alive(performance.now());
    },
    calling() {
      if (timer !== undefined || stopped) return;
      liveness.alive(performance.now());
      timer = setInterval(check, LOOK_MS);
    },
    stop() {
      stopped = true;
      stop();
    },
  };
}
