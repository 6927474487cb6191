/**
 * A queue of messages between a producer and the iteration of a handler. Messages that are queued when it ends are
 * still delivered, followed by the error, if there is one.
 */
export class MessageQueue<T> implements AsyncIterable<T> {
  readonly #messages: T[] = [];
  #wake: (() => void) | undefined;
  #end: { readonly error: unknown } | undefined;

  /** Does nothing after the end. */
  push(message: T): void {
    if (this.#end !== undefined) return;
    this.#messages.push(message);
    this.#wake?.();
  }

  /** Ends the queue, with an error if one is given. Only the first end counts. */
  end(error?: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** Only one reader may iterate. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      while (this.#messages.length > 0) yield this.#messages.shift()!;
      if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = undefined;
    }
  }
}
