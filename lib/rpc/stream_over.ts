/**
 * Who is told that a stream is over on the wire, read or not, by the signal of its call. Interceptors hear of no end
 * that nobody reads.
 */
export const STREAM_OVER: WeakMap<AbortSignal, (error: unknown) => void> = new WeakMap();
