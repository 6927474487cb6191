/** Something wrong with one option. */
export interface OptionProblem {
  /** The option's path, such as `credentials.payload`, or `address`. */
  readonly option: string;
  /** The value, described; of a secret only type and length. */
  readonly value: string;
  /** The whole sentence, with both. */
  readonly message: string;
}

/** Options whose value is never shown. */
const SECRETS = new Set([
  "apiKey",
  "credentials.payload",
  "accessToken",
  "tls.cert",
  "tls.key",
  "headers",
  "proxy",
  "webrtc.iceServers",
]);

/**
 * Reports a value that an option cannot have.
 *
 * @param problem A predicate: "must be an integer ≥ 0".
 * @param at Where in the option, such as `[0]`.
 */
export function wrongValue(option: string, value: unknown, problem: string, at = ""): OptionProblem {
  const shown = SECRETS.has(option) ? describeSecret(value) : describe(value);
  return { option, value: shown, message: `${option}${at} ${problem} (got ${shown})` };
}

/** Reports an option that has to be there. */
export function missingValue(option: string, why = ""): OptionProblem {
  return { option, value: "undefined", message: `${option} is missing${why}` };
}

/** Type and length of a secret. */
export function describeSecret(value: unknown): string {
  return typeof value === "string" ? `a string of ${value.length} characters` : describeType(value);
}

function describe(value: unknown): string {
  switch (typeof value) {
    case "string": {
      // A name and password typed into a URL are secrets.
      const safe = value.includes("@") ? `…${value.slice(value.lastIndexOf("@"))}` : value;
      return safe.length > 100 ? `${JSON.stringify(safe.slice(0, 100))}…` : JSON.stringify(safe);
    }
    case "number":
    case "boolean":
      return String(value);
    default:
      // An object's members could be secrets in the wrong place.
      return describeType(value);
  }
}

function describeType(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  const type = Array.isArray(value) ? "array" : typeof value;
  return `${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
}
