/** Most events that wait for a reader; beyond that, the oldest are dropped. */
const MAX_WAITING = 1_000;

/** A queue of events for a `for await` loop, in the order in which they come. */
export interface EventQueue<E> extends AsyncIterableIterator<E, undefined, undefined> {
  /** Adds an event. */
  push(event: E): void;
  /** Ends the queue; waiting events are still read. */
  end(): void;
}

/**
 * Makes a queue between the source of events and a loop over them.
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
