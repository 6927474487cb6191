import type { Outlet } from "../rpc/outbox.ts";

/** Bytes that are handed over at a time, as far as more than one message waits. */
const CHUNK_BYTES = 128 * 1024;

interface Waiting {
  readonly message: Uint8Array;
  readonly sent: () => void;
}

/**
 * A request body that is written as messages come. What has come while the network took the last chunk goes into the
 * next one: a chunk costs the runtime as much as many a message.
 */
export class Upload implements Outlet {
  readonly body: ReadableStream<Uint8Array>;
  readonly #encode: (messages: readonly Uint8Array[]) => Uint8Array;
  #waiting: Waiting[] = [];
  #hasEnded = false;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Set while the network waits for a chunk. */
  #pulled: PromiseWithResolvers<void> | undefined;

  /** @param encode Puts messages into one chunk. */
  constructor(encode: (messages: readonly Uint8Array[]) => Uint8Array) {
    this.#encode = encode;
    this.body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => {
        if (this.#deliver()) return;
        this.#pulled = Promise.withResolvers();
        return this.#pulled.promise;
      },
      // Waiting bytes count on as waiting, so that its sender waits for the end of the call.
      cancel: () => {
        this.#controller = undefined;
      },
    }, { highWaterMark: 0 });
  }

  write(message: Uint8Array, last: boolean, sent: () => void): void {
    if (this.#controller === undefined) return;
    this.#waiting.push({ message, sent });
    this.#hasEnded ||= last;
    this.#answerPull();
  }

  halfClose(): void {
    this.#hasEnded = true;
    this.#answerPull();
  }

  /** Ends the body: on Deno a fetch that is aborted waits for the next part of it. */
  close(): void {
    this.#waiting = [];
    this.halfClose();
  }

  #answerPull(): void {
    const pulled = this.#pulled;
    if (pulled === undefined || !this.#deliver()) return;
    this.#pulled = undefined;
    pulled.resolve();
  }

  /** Hands over what waits; false when nothing does and more may come. */
  #deliver(): boolean {
    const controller = this.#controller;
    if (controller === undefined) return true;
    if (this.#waiting.length === 0) {
      if (!this.#hasEnded) return false;
      this.#controller = undefined;
      controller.close();
      return true;
    }
    let count = 1, bytes = this.#waiting[0]!.message.length;
    while (count < this.#waiting.length && bytes + this.#waiting[count]!.message.length <= CHUNK_BYTES) {
      bytes += this.#waiting[count++]!.message.length;
    }
    const batch = this.#waiting.splice(0, count);
    controller.enqueue(this.#encode(batch.map(({ message }) => message)));
    for (const { sent } of batch) sent();
    return true;
  }
}
