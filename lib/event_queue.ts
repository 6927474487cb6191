import type { ChannelEvent } from "./events.ts";

/** Most events that wait for a reader; of more, the oldest are dropped. */
const MAX_WAITING = 1_000;

/** Events in the order in which they come, for a `for await` loop. */
export interface EventQueue extends AsyncIterableIterator<ChannelEvent, undefined, undefined> {
  /** Takes in an event; `closed` is the last. */
  push(event: ChannelEvent): void;
}

/**
 * Makes a queue between whoever reports events and a loop over them.
 *
 * @param stop Called once, when no more events are wanted: after `closed`, or when the reader leaves.
 */
export function createEventQueue(stop: () => void): EventQueue {
  const waiting: ChannelEvent[] = [];
  const readers: ((result: IteratorResult<ChannelEvent, undefined>) => void)[] = [];
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
      if (event.type === "closed") end();
    },
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
