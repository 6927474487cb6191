/** What one unary call costs, in things that no clock changes. */
export interface Counts {
  readonly timers: number;
  readonly listeners: number;
  readonly abortControllers: number;
  readonly framesWritten: number;
  readonly bytesWritten: number;
  readonly framesRead: number;
}

/** Recorded figures, a call: by how the call goes, alike on Deno and on Bun. */
export const recorded: Readonly<Record<string, Counts>> = {};
