/** A queue between a producer and a `for await` loop, in the order in which items come. */
export interface Queue<T> extends AsyncIterableIterator<T, undefined, undefined> {
  /** Adds an item. Does nothing after the end. */
  push(item: T): void;
  /** Ends the queue, with an error if one is given. Waiting items are still read. Only the first end counts. */
  end(error?: unknown): void;
}

/** Settings of a queue. */
export interface QueueOptions {
  /** Most items that wait for a reader; beyond that, the oldest are dropped. */
  readonly most?: number;
  /** Called once, when no more items are wanted: after the end, or when the reader leaves. */
  readonly stop?: () => void;
}

/** Makes an empty queue. */
export function createQueue<T>({ most = Infinity, stop = () => {} }: QueueOptions = {}): Queue<T> {
  const waiting: T[] = [];
  const readers: ((result: IteratorResult<T, undefined> | Promise<never>) => void)[] = [];
  let ended = false;
  /** Of the end, until somebody has read it. */
  let failure: unknown;

  function over(): IteratorReturnResult<undefined> | Promise<never> {
    if (failure === undefined) return { done: true, value: undefined };
    const error = failure;
    failure = undefined;
    return Promise.reject(error);
  }

  function end(error?: unknown): void {
    if (ended) return;
    ended = true;
    failure = error;
    stop();
    for (const read of readers.splice(0)) read(over());
  }

  return {
    push(item) {
      if (ended) return;
      const read = readers.shift();
      if (read !== undefined) read({ done: false, value: item });
      else if (waiting.push(item) > most) waiting.shift();
    },
    end,
    next: () =>
      new Promise((read) => {
        if (waiting.length > 0) read({ done: false, value: waiting.shift()! });
        else if (ended) read(over());
        else readers.push(read);
      }),
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
