/** Time that other programs take from this one, in milliseconds. */
export interface Delays extends Disposable {
  readonly longestMs: number;
  readonly totalMs: number;
}

const INTERVAL_MS = 20;

/** Measures how long this program is kept from running, by others or by itself. */
export function watchDelays(): Delays {
  let longestMs = 0, totalMs = 0, last = performance.now();
  const look = () => {
    const now = performance.now();
    const delayMs = Math.max(0, now - last - INTERVAL_MS);
    longestMs = Math.max(longestMs, delayMs);
    totalMs += delayMs;
    last = now;
  };
  const timer = setInterval(look, INTERVAL_MS);
  return {
    get longestMs() {
      look();
      return longestMs;
    },
    get totalMs() {
      look();
      return totalMs;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
