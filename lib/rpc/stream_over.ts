/**
 * Callbacks for the end of streams on the wire, read or not, by the signal of the call. Interceptors do not see an end
 * that nobody reads.
 */
export const STREAM_OVER: WeakMap<AbortSignal, (error: unknown) => void> = new WeakMap();
