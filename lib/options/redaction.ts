/*
 * Objects with secrets are ordinary ones, so that they can be spread and compared. Their inspection, in a log line or
 * at a prompt, hides the secrets. All runtimes support node's symbol.
 */

const INSPECT = Symbol.for("nodejs.util.inspect.custom");

const REDACTED = "[redacted]";

/**
 * Gives an object an inspection that hides some members. The object may be frozen afterwards.
 *
 * @param shape True for a member that is hidden as a whole, else the hidden members of that member.
 */
export function hideSecrets<T extends object>(value: T, shape: Hidden): T {
  return Object.defineProperty(value, INSPECT, { value: () => redacted(value, shape) });
}

/** Members to hide. */
export interface Hidden {
  readonly [member: string]: true | Hidden;
}

function redacted(value: object, shape: Hidden): Record<string, unknown> {
  const shown: Record<string, unknown> = { ...value };
  for (const [member, hidden] of Object.entries(shape)) {
    const item = shown[member];
    if (item === undefined) continue;
    shown[member] = hidden === true || typeof item !== "object" || item === null
      ? REDACTED
      : Array.isArray(item)
      ? item.map((each) => redacted(each, hidden))
      : redacted(item, hidden);
  }
  return shown;
}
