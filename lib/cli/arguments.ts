import { parseArgs } from "node:util";

/** The command line is invalid, and nothing was done. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** An option of a command. */
export interface Option {
  /** The name of its value in the help; without it the option takes no value. */
  readonly value?: string;
  readonly short?: string;
  /** May be given several times. */
  readonly multiple?: boolean;
  /** The only allowed values. */
  readonly words?: readonly string[];
  /** Its value names a file. */
  readonly file?: boolean;
  readonly help: string;
}

/** Options by name, without dashes. */
export type Options = Readonly<Record<string, Option>>;

/** The parsed arguments of a command. */
export interface Arguments {
  readonly positionals: readonly string[];
  /** True if an option without a value was given. */
  has(name: string): boolean;
  /** The value of an option. */
  text(name: string): string | undefined;
  /** Every value of an option. */
  texts(name: string): readonly string[];
  /** The value of an option as an integer. Throws a UsageError if it is not one from `least` to `most`. */
  integer(name: string, least: number, most: number): number | undefined;
}

/** Options that would contain secrets: the list of processes shows a command line to every user of the computer. */
const SECRET_OPTIONS = ["api-key", "payload", "credential", "credentials", "access-token", "token", "secret"];

/**
 * Parses the arguments of a command.
 *
 * @throws {UsageError} for an unknown option, or a value that the option does not allow
 */
export function readArguments(typed: readonly string[], options: Options): Arguments {
  const known = Object.fromEntries(
    Object.entries(options).map(([name, { value, short, multiple = false }]) => [name, {
      type: value === undefined ? "boolean" as const : "string" as const,
      multiple,
      ...(short === undefined ? {} : { short }),
    }]),
  );
  const secret = SECRET_OPTIONS.find((name) =>
    !(name in options) && typed.some((text) => text === `--${name}` || text.startsWith(`--${name}=`))
  );
  if (secret !== undefined) {
    throw new UsageError(
      `--${secret} would show a secret to every user of this computer; set VIAM_API_KEY and VIAM_API_KEY_ID, ` +
        "or use --credentials-file",
    );
  }
  let values: Record<string, unknown>;
  let positionals: string[];
  try {
    ({ values, positionals } = parseArgs({ args: [...typed], options: known, allowPositionals: true }));
  } catch (error) {
    const [sentence] = error instanceof Error ? error.message.split(/(?<=\.) |\n/) : [String(error)];
    throw new UsageError(sentence!.replace(/\.$/, ""), { cause: error });
  }
  for (const [name, { words }] of Object.entries(options)) {
    if (words === undefined) continue;
    for (const value of listOf(values[name])) {
      if (!words.includes(value)) {
        throw new UsageError(`--${name} is ${JSON.stringify(value)}; it takes ${words.join(", ")}`);
      }
    }
  }
  return {
    positionals,
    has: (name) => values[name] === true,
    text: (name) => listOf(values[name])[0],
    texts: (name) => listOf(values[name]),
    integer(name, least, most) {
      const [text] = listOf(values[name]);
      if (text === undefined) return undefined;
      const value = Number(text);
      if (text.trim() === "" || !Number.isSafeInteger(value) || value < least || value > most) {
        // The familiar ping takes seconds, with fractions.
        const unit = options[name]?.value === "MS" ? " of milliseconds" : "";
        throw new UsageError(
          `--${name} is ${JSON.stringify(text)}; it takes a whole number${unit} from ${least}` +
            (most === Infinity ? " up" : ` to ${most}`),
        );
      }
      return value;
    },
  };
}

/** The address of a command that takes no other argument; undefined if it was left out. */
export function oneAddress(command: string, { positionals }: Arguments): string | undefined {
  const [address, extra] = positionals;
  if (extra === undefined) return address;
  throw new UsageError(`${command} takes one address, not ${JSON.stringify(extra)} as well`);
}

function listOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value;
  return typeof value === "string" ? [value] : [];
}
