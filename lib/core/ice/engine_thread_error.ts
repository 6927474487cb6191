import { nameErrors } from "../error_name.ts";

/** A refusal to load the WebRTC engine into a worker. */
export class EngineThreadError extends Error {
  constructor() {
    super("WebRTC works in the main thread alone, and this is a worker");
  }
}

nameErrors({ EngineThreadError });
