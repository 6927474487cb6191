/**
 * Messages that one side puts in as they come, and a handler yields as they are wanted. What is in the queue when it
 * ends is still delivered; then the error, if there is one.
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

  /** Has ended; there may be messages left. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** One reader only. */
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
