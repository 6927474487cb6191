/*
 * Objects that hold secrets are ordinary ones, so that they can be spread and compared; only whoever looks at one as
 * a whole, in a log line or at a prompt, sees no secret. All runtimes heed node's symbol.
 */

const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** What stands in the place of a secret. */
const REDACTED = "[redacted]";

/**
 * Gives an object an inspection that shows everything but some members. The object may be frozen afterwards.
 *
 * @param shape What to hide: true for a member as a whole, else the members of that member.
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
