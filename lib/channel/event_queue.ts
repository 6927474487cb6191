/** Most events that wait for a reader; of more, the oldest are dropped. */
const MAX_WAITING = 1_000;

/** Events in the order in which they come, for a `for await` loop. */
export interface EventQueue<E> extends AsyncIterableIterator<E, undefined, undefined> {
  /** Takes in an event. */
  push(event: E): void;
  /** No more events come; those that wait are still read. */
  end(): void;
}

/**
 * Makes a queue between whoever reports events and a loop over them.
 *
 * @param stop Called once, when no more events are wanted: after the end, or when the reader leaves.
 */
export function createEventQueue<E>(stop: () => void): EventQueue<E> {
  const waiting: E[] = [];
  const readers: ((result: IteratorResult<E, undefined>) => void)[] = [];
  let ended = false;

  function end(): void {
    if (ended) return;
    ended = true;
    stop();
    for (const reader of readers.splice(0)) reader({ done: true, value: undefined });
  }

  return {
    push(event) {
      if (ended) return;
      const reader = readers.shift();
      if (reader !== undefined) reader({ done: false, value: event });
      else if (waiting.push(event) > MAX_WAITING) waiting.shift();
    },
    end,
    next() {
      const event = waiting.shift();
      if (event !== undefined) return Promise.resolve({ done: false, value: event });
      if (ended) return Promise.resolve({ done: true, value: undefined });
      return new Promise((resolve) => readers.push(resolve));
    },
    return() {
      waiting.length = 0;
      end();
      return Promise.resolve({ done: true, value: undefined });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
