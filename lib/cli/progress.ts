import type { Terminal } from "./terminal.ts";

/** Time below which an action shows no progress, in milliseconds. */
const PATIENCE_MS = 300;
const REFRESH_MS = 100;

/** A line that shows the current wait, and its duration. */
export interface Progress {
  /** Sets the current action. */
  now(what: string): void;
  /** Removes the line. */
  end(): void;
}

/** Shows nothing. */
export const NO_PROGRESS: Progress = { now() {}, end() {} };

/** Shows a line on standard error once an action takes long; shows nothing when no person reads it. */
export function showProgress(terminal: Terminal, what: string): Progress {
  if (!terminal.errorIsTerminal) return NO_PROGRESS;
  const began = performance.now();
  let current = what;
  let shown = false;
  const show = () => {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    terminal.warn(`\r\x1b[2K${current} … ${seconds} s`);
    shown = true;
  };
  let repeat: ReturnType<typeof setInterval> | undefined;
  const start = setTimeout(() => {
    show();
    repeat = setInterval(show, REFRESH_MS);
  }, PATIENCE_MS);
  return {
    now(next) {
      current = next;
      if (shown) show();
    },
    end() {
      clearTimeout(start);
      clearInterval(repeat);
      if (shown) terminal.warn("\r\x1b[2K");
      shown = false;
    },
  };
}
