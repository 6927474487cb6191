/** Keeps the event loop from turning for so long, as a computation would, and leaves the processor to others. */
export function hang(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
