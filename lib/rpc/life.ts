/** Signs of life of a connection that may die in silence. */
export type LifeSign =
  /** The machine has been asked for an answer: calls made now should wait for it. */
  | "doubted"
  /** It has been silent for too long: another connection should be looked for. */
  | "suspected"
  /** It has answered. */
  | "alive"
  /** No calls are open. */
  | "idle";

/** The life of a connection. */
export interface Life {
  /** Number of open calls. */
  readonly calls: number;
  /** Sets the listener of the signs. */
  listen(listener: (sign: LifeSign) => void): void;
  /** Asks the machine for an answer at once: the computer has slept, or its network has changed. */
  doubt(): void;
  /** Asks the machine a question that it answers in the order of its other answers; the answer is no sign. */
  ask(answered: () => void): void;
  /** Another connection has taken over: ends this one when its calls are over, or give no sign of life for 4 s. */
  replace(): void;
}
