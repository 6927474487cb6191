/** The cost of one unary call, counted in things that do not depend on the clock. */
export interface Counts {
  readonly timers: number;
  readonly listeners: number;
  readonly abortControllers: number;
  readonly framesWritten: number;
  readonly framesRead: number;
}

/**
 * Recorded counts for one call, by runtime and by the way it goes. The size of frames follows the send window, so the
 * frames of a large message are those of an idle computer, and not compared.
 */
export const recorded: Readonly<Record<string, Counts>> = {
  "deno, webrtc, plain": {
    "timers": 0,
    "listeners": 0,
    "abortControllers": 0,
    "framesWritten": 2,
    "framesRead": 3,
  },
  "deno, webrtc, signal": {
    "timers": 0,
    "listeners": 1,
    "abortControllers": 0,
    "framesWritten": 2,
    "framesRead": 3,
  },
  "deno, webrtc, timeout": {
    "timers": 1,
    "listeners": 1,
    "abortControllers": 1,
    "framesWritten": 2,
    "framesRead": 3,
  },
  "deno, webrtc, 200,000 bytes": {
    "timers": 0,
    "listeners": 0,
    "abortControllers": 0,
    "framesWritten": 8,
    "framesRead": 9,
  },
  "deno, direct, plain": {
    "timers": 0,
    "listeners": 0,
    "abortControllers": 0,
    "framesWritten": 0,
    "framesRead": 0,
  },
  "deno, direct, signal": {
    "timers": 0,
    "listeners": 1,
    "abortControllers": 0,
    "framesWritten": 0,
    "framesRead": 0,
  },
  "deno, direct, timeout": {
    "timers": 1,
    "listeners": 1,
    "abortControllers": 1,
    "framesWritten": 0,
    "framesRead": 0,
  },
  "bun, webrtc, plain": {
    "timers": 0,
    "listeners": 0,
    "abortControllers": 0,
    "framesWritten": 2,
    "framesRead": 3,
  },
  "bun, webrtc, signal": {
    "timers": 0,
    "listeners": 1,
    "abortControllers": 0,
    "framesWritten": 2,
    "framesRead": 3,
  },
  "bun, webrtc, timeout": {
    "timers": 1,
    "listeners": 1,
    "abortControllers": 1,
    "framesWritten": 2,
    "framesRead": 3,
  },
  "bun, webrtc, 200,000 bytes": {
    "timers": 0,
    "listeners": 0,
    "abortControllers": 0,
    "framesWritten": 8,
    "framesRead": 9,
  },
  "bun, direct, plain": {
    "timers": 0,
    "listeners": 0,
    "abortControllers": 0,
    "framesWritten": 0,
    "framesRead": 0,
  },
  "bun, direct, signal": {
    "timers": 0,
    "listeners": 1,
    "abortControllers": 0,
    "framesWritten": 0,
    "framesRead": 0,
  },
  "bun, direct, timeout": {
    "timers": 1,
    "listeners": 1,
    "abortControllers": 1,
    "framesWritten": 0,
    "framesRead": 0,
  },
};
