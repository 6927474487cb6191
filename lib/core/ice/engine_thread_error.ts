/** A refusal to load the WebRTC engine into a worker. */
export class EngineThreadError extends Error {
  static {
    Object.defineProperty(this.prototype, "name", { value: "EngineThreadError", configurable: true });
  }

  constructor() {
    super("WebRTC works in the main thread alone, and this is a worker");
  }
}
