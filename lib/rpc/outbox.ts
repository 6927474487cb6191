/** Bytes of messages that may wait, a call, before its sender has to. */
const WAITING_BYTES = 256 * 1024;

/** Bytes that a message counts for besides its own: many empty ones must not wait without a bound. */
const MESSAGE_BYTES = 16;

/** Takes an outbox's messages once there is a stream. */
export interface Outlet {
  /** Sends a message, and half-closes with the `last`. Calls `sent` once there is room for another. */
  write(message: Uint8Array, last: boolean, sent: () => void): void;
  halfClose(): void;
  /** The call is over: nothing more comes. */
  close?(): void;
}

/**
 * Messages of a call on their way out. They wait until the call has a stream, and are kept, as long as they are few, until
 * the server answers: a call that was refused unread is made again on another stream.
 */
export class Outbox {
  readonly #keptBytes: number;
  #outlet: Outlet | undefined;
  /** Messages so far; undefined once they are too many, or no longer needed. */
  #kept: Uint8Array[] | undefined = [];
  #size = 0;
  /** Bytes that wait. */
  #waiting = 0;
  #halfClosed = false;
  #room: PromiseWithResolvers<void> | undefined;

  /** @param keptBytes Messages of as many bytes are not kept once they have an outlet. */
  constructor(keptBytes = WAITING_BYTES) {
    this.#keptBytes = keptBytes;
  }

  /** True while every message so far can be delivered to another outlet. */
  get isRepeatable(): boolean {
    return this.#kept !== undefined;
  }

  /** Bytes of the messages that came so far. */
  get size(): number {
    return this.#size;
  }

  /** @returns undefined while there is room for more; else a promise for when there is room again, or the call is over. */
  send(message: Uint8Array, last: boolean): Promise<void> | undefined {
    if (this.#halfClosed) return undefined;
    this.#halfClosed = last;
    this.#size += message.length;
    this.#kept?.push(message);
    this.#deliver(message, last);
    if (last || this.#waiting <= WAITING_BYTES) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  halfClose(): void {
    if (this.#halfClosed) return;
    this.#halfClosed = true;
    this.#outlet?.halfClose();
  }

  /** Delivers to an outlet all that came and is to come; to the one before, nothing more. */
  attach(outlet: Outlet): void {
    const messages = this.#kept ?? [];
    this.#outlet = outlet;
    this.#waiting = 0;
    for (const [index, message] of messages.entries()) {
      this.#deliver(message, this.#halfClosed && index === messages.length - 1);
    }
    if (this.#halfClosed && messages.length === 0) outlet.halfClose();
  }

  /** The outlet is gone, and another is to come. */
  detach(): void {
    this.#outlet = undefined;
  }

  /** The call will not be made again. */
  settle(): void {
    if (this.#outlet !== undefined) this.#kept = undefined;
  }

  /** Takes no more, and lets nobody wait. */
  close(): void {
    this.#halfClosed = true;
    this.#kept = undefined;
    this.#outlet?.close?.();
    this.#outlet = undefined;
    this.#wake();
  }

  #deliver(message: Uint8Array, last: boolean): void {
    const bytes = message.length + MESSAGE_BYTES;
    this.#waiting += bytes;
    const outlet = this.#outlet;
    if (outlet === undefined) return;
    if (this.#size >= this.#keptBytes) this.#kept = undefined;
    outlet.write(message, last, () => {
      if (outlet !== this.#outlet) return;
      this.#waiting -= bytes;
      if (this.#waiting <= WAITING_BYTES) this.#wake();
    });
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}
