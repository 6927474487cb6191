/** The text of whatever was thrown: that of a cause, where an error has none itself. */
export function messageOf(error: unknown): string {
  for (const { message } of causesOf(error)) if (message !== "") return message;
  return String(error);
}

/** An error and the errors that caused it, from the top down: some at most, since causes may form a circle. */
export function* causesOf(error: unknown): Generator<Error> {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 10; cause = cause.cause, depth++) {
    yield cause;
  }
}
