import { Code, ConnectError } from "@connectrpc/connect";

/** A call that this side cannot make: unlike a server's `Unimplemented`, it says nothing about the server. */
export class UnsupportedCallError extends ConnectError {
  /** @param message The reason, and what would help. */
  constructor(message: string) {
    super(message, Code.Unimplemented);
  }

  /** The inherited one of `ConnectError` would accept every `ConnectError`. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return Function.prototype[Symbol.hasInstance].call(this, value);
  }
}
