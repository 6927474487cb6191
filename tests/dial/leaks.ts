/** Counts of the things that a dial may leave behind. */

import { setTimeout as delay } from "node:timers/promises";

/** Timers of this process that have been started and are not over. */
export interface TimerWatch extends Disposable {
  /** The places at which they were started. */
  readonly running: readonly string[];
}

/** Watches the timers that are started from now on. */
export function watchTimers(): TimerWatch {
  const { setTimeout: start, clearTimeout: stop, setInterval: repeat, clearInterval: end } = globalThis;
  const running = new Map<unknown, string>();
  const origin = () => new Error("started").stack ?? "";
  const patched = {
    setTimeout(act: (...args: unknown[]) => void, milliseconds?: number, ...args: unknown[]) {
      const timer: unknown = start(() => {
        running.delete(timer);
        act(...args);
      }, milliseconds);
      running.set(timer, origin());
      return timer;
    },
    setInterval(act: (...args: unknown[]) => void, milliseconds?: number, ...args: unknown[]) {
      const timer: unknown = repeat(act, milliseconds, ...args);
      running.set(timer, origin());
      return timer;
    },
    clearTimeout(timer: unknown) {
      running.delete(timer);
      stop(timer as number);
    },
    clearInterval(timer: unknown) {
      running.delete(timer);
      end(timer as number);
    },
  };
  Object.assign(globalThis, patched);
  return {
    get running() {
      return [...running.values()];
    },
    [Symbol.dispose]() {
      Object.assign(globalThis, {
        setTimeout: start,
        clearTimeout: stop,
        setInterval: repeat,
        clearInterval: end,
      });
    },
  };
}

/** A signal to abort with, and how many listeners it has. */
export interface WatchedAbort {
  readonly controller: AbortController;
  /** Listeners for "abort" that have been added, and neither removed nor called. */
  readonly listeners: number;
}

/** Makes a signal that knows its listeners. */
export function watchedAbort(): WatchedAbort {
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = new Set<unknown>();
  const add = signal.addEventListener.bind(signal), remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (type: string, listener: unknown, options?: unknown) => {
    listeners.add(listener);
    add(type, listener as EventListener, options as AddEventListenerOptions);
  };
  signal.removeEventListener = (type: string, listener: unknown, options?: unknown) => {
    listeners.delete(listener);
    remove(type, listener as EventListener, options as EventListenerOptions);
  };
  return {
    controller,
    get listeners() {
      // An abort calls each, once.
      return signal.aborted ? 0 : listeners.size;
    },
  };
}

/** Waits until something holds; rejects with what is the matter if it does not for too long. */
export async function eventually(
  holds: () => boolean,
  matter: () => string,
  timeoutMs = 20_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${matter()}`);
    await delay(5);
  }
}
