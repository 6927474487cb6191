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
  "tls.key",
  "headers",
  "webrtc.iceServers",
]);

/** Notes that `option` has a value that it cannot have; `problem` follows the value: "is no integer". */
export function optionProblem(option: string, value: unknown, problem: string): OptionProblem {
  const shown = isSecret(option) ? describeSecret(value) : describe(value);
  return { option, value: shown, message: `${option}: ${shown} ${problem}` };
}

function isSecret(option: string): boolean {
  return SECRETS.has(option) || option.startsWith("headers.");
}

/** Type and length of a secret. */
export function describeSecret(value: unknown): string {
  return typeof value === "string"
    ? `string of ${value.length} characters`
    : `value of type ${describeType(value)}`;
}

function describe(value: unknown): string {
  switch (typeof value) {
    case "string": {
      const safe = withoutUser(value);
      return safe.length > 100 ? `${JSON.stringify(safe.slice(0, 100))}…` : JSON.stringify(safe);
    }
    case "number":
    case "boolean":
    case "undefined":
      return String(value);
    case "bigint":
      return `${value}n`;
    default:
      // An object's members could be secrets in the wrong place.
      return `value of type ${describeType(value)}`;
  }
}

/** "null", "array" or what `typeof` says. */
export function describeType(value: unknown): string {
  if (value === null) return "null";
  try {
    return Array.isArray(value) ? "array" : typeof value;
  } catch {
    return typeof value; // a revoked proxy
  }
}

/** A name and password typed into a URL are secrets. */
export function withoutUser(url: string): string {
  return url.includes("@") ? `…${url.slice(url.lastIndexOf("@"))}` : url;
}
