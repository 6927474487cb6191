/** Lets the process exit though the timer has not fired. */
export function unrefTimer(timer: ReturnType<typeof setTimeout>): void {
  // An object on every runtime, whatever their types say.
  (timer as unknown as { unref(): void }).unref();
}
