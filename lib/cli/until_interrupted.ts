import type { Terminal } from "./terminal.ts";

/** Resolves when the user interrupts. */
export function untilInterrupted({ signal }: Terminal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
