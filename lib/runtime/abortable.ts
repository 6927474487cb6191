/**
 * Waits for a promise, but no longer than the signal, if any, allows; then rejects with the signal's reason. A value that
 * is there already needs no wait.
 */
export function abortable<T>(pending: Promise<T>, signal: AbortSignal | undefined): Promise<T>;
export function abortable<T>(pending: T | Promise<T>, signal: AbortSignal | undefined): T | Promise<T>;
export function abortable<T>(pending: T | Promise<T>, signal: AbortSignal | undefined): T | Promise<T> {
  if (signal === undefined || !(pending instanceof Promise)) return pending;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    pending.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}
