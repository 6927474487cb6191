/** The standing of a channel's connection. */
export type Standing =
  /** Calls go out on it. */
  | "trusted"
  /** Calls wait for the machine's answer to a question. */
  | "doubted"
  /** Calls wait for whichever speaks first: this connection, or another one that is being made. */
  | "suspected"
  /** The same, but the other one could not be made. */
  | "alone"
  /** It is lost; calls wait for another one that is being made. */
  | "lost"
  /** The channel is closed. */
  | "closed";

/** An event in the life of a channel's connection. */
export type Happening =
  | "doubted"
  | "suspected"
  | "alive"
  | "lost"
  /** The other connection is open. */
  | "opened"
  /** The other connection could not be made. */
  | "failed";

/** A step that an event leads to. */
export type Step =
  /** Lets new calls wait. */
  | "hold"
  /** Lets calls go, those that wait and new ones. */
  | "release"
  /** Begins to make another connection. */
  | "connect"
  /** Gives the other connection up. */
  | "drop"
  /** Puts the other connection in the place of this one, whose calls may still end well. */
  | "replace"
  /** Reports the loss; what was begun becomes the first attempt to reconnect. */
  | "reconnect";

/** The next standing and the steps to it, in order. */
export interface Succession {
  readonly standing: Standing;
  readonly steps: readonly Step[];
}

const TABLE: { readonly [S in Standing]: { readonly [H in Happening]?: Succession } } = {
  trusted: {
    doubted: { standing: "doubted", steps: ["hold"] },
    suspected: { standing: "suspected", steps: ["hold", "connect"] },
    lost: { standing: "lost", steps: ["hold", "reconnect"] },
  },
  doubted: {
    suspected: { standing: "suspected", steps: ["connect"] },
    alive: { standing: "trusted", steps: ["release"] },
    lost: { standing: "lost", steps: ["reconnect"] },
  },
  suspected: {
    alive: { standing: "trusted", steps: ["release", "drop"] },
    opened: { standing: "trusted", steps: ["replace", "release"] },
    failed: { standing: "alone", steps: [] },
    lost: { standing: "lost", steps: ["reconnect"] },
  },
  alone: {
    alive: { standing: "trusted", steps: ["release", "drop"] },
    lost: { standing: "lost", steps: ["reconnect"] },
  },
  lost: { opened: { standing: "trusted", steps: ["release"] } },
  closed: {},
};

/** Returns what follows an event: nothing, where the event comes too late to matter. */
export function succeed(standing: Standing, happening: Happening): Succession {
  return TABLE[standing][happening] ?? { standing, steps: [] };
}
