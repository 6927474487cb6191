import type { Terminal } from "./terminal.ts";

/** What is done in less than this is not worth a line, in milliseconds. */
const PATIENCE_MS = 300;
const REFRESH_MS = 100;

/** A line that says what is waited for, and for how long. */
export interface Progress {
  /** Says what is under way. */
  now(what: string): void;
  /** Takes the line away. */
  end(): void;
}

/** Shows nothing. */
export const NO_PROGRESS: Progress = { now() {}, end() {} };

/** Shows a line on standard error once something takes long; nothing when no person reads it. */
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
