/** Bytes of request messages that may wait for the network, a call. */
const UPLOAD_BUFFER_BYTES = 256 * 1024;

/** A request body that is written as messages come. */
export class Upload {
  readonly stream: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #room: PromiseWithResolvers<void> | undefined;

  constructor() {
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#wake(),
      cancel: () => this.stop(),
    }, { highWaterMark: UPLOAD_BUFFER_BYTES, size: (frame) => frame?.length ?? 1 });
  }

  /** Undefined while there is room. */
  write(frame: Uint8Array): Promise<void> | undefined {
    const controller = this.#controller;
    if (controller === undefined) return undefined;
    controller.enqueue(frame);
    if ((controller.desiredSize ?? 1) > 0) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  close(): void {
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.close();
    this.#wake();
  }

  /** Takes no more, and lets nobody wait. */
  stop(): void {
    const controller = this.#controller;
    this.#controller = undefined;
    try {
      controller?.close();
    } catch {
      // Cancelled by the reader already.
    }
    this.#wake();
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}
