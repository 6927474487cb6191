/** Silence while calls are open after which the machine is asked for a sign of life, in milliseconds. */
const SILENCE_MS = 5_000;

/** How long it may take to give one, in milliseconds, each of two times. */
const ANSWER_MS = 2_400;

/**
 * Watches a data channel while calls are open on it. The engine takes 13 to 30 seconds to notice that a peer is
 * gone; a machine that is there answers any call at once, if only with `Unimplemented`.
 */
export interface Liveness {
  /** Something came in. */
  heard(): void;
  /** A call was opened. */
  calling(): void;
  /** Stops watching. */
  stop(): void;
}

/**
 * @param open How many calls are open.
 * @param ask Asks for a sign of life.
 * @param lost Called when two questions in a row went unanswered.
 */
export function watchLiveness(open: () => number, ask: () => void, lost: () => void): Liveness {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let heardAt = 0;
  let asked = 0;
  let stopped = false;

  function watch(milliseconds: number): void {
    timer = setTimeout(check, milliseconds);
  }

  function check(): void {
    timer = undefined;
    // Questions are calls themselves: they do not count.
    if (stopped || open() - asked <= 0) {
      asked = 0;
      return;
    }
    const silence = performance.now() - heardAt;
    if (asked === 0 && silence < SILENCE_MS) return watch(SILENCE_MS - silence);
    if (asked === 2) return lost();
    asked++;
    ask();
    watch(ANSWER_MS);
  }

  return {
    heard() {
      heardAt = performance.now();
      asked = 0;
    },
    calling() {
      if (timer !== undefined || stopped) return;
      heardAt = performance.now();
      watch(SILENCE_MS);
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
