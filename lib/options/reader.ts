import { describeSecret, missingValue, type OptionProblem, wrongValue } from "./problem.ts";

/** The value to keep, or why there is none. */
export type Reading = { readonly value: unknown } | Refusal;

/** The reason why a value cannot be used. */
export interface Refusal {
  /** A predicate: "must be an integer ≥ 0". */
  readonly problem: string;
  /** The place in the value, such as `[0]`, and what is there. */
  readonly at?: string;
  readonly got?: unknown;
}

/** Checks one value, and copies what the caller could change later. */
export type Reader = (value: unknown) => Reading;

/** An object with members of its own. */
export interface Group {
  readonly members: Readonly<Record<string, Reader | Group>>;
  /** Members that have to be there when the group is. */
  readonly required?: readonly string[];
  /** Lets true stand for the group with its defaults, and false for none. */
  readonly orBoolean?: boolean;
}

export const isBoolean: Reader = (value) =>
  typeof value === "boolean" ? { value } : { problem: "must be true or false" };
export const isText: Reader = (value) =>
  typeof value === "string" && value !== "" ? { value } : { problem: "must be a non-empty string" };
export const isFunction: Reader = (value) =>
  typeof value === "function" ? { value } : { problem: "must be a function" };

/** Milliseconds; 0 and `Infinity` stand for none. */
export const isMilliseconds: Reader = (value) =>
  typeof value === "number" && value >= 0 ? { value } : { problem: "must be milliseconds ≥ 0" };

/** Accepts an integer ≥ 0, or `Infinity`. */
export const isCount: Reader = (value) =>
  value === Infinity || (Number.isSafeInteger(value) && (value as number) >= 0)
    ? { value }
    : { problem: "must be an integer ≥ 0, or Infinity" };

/** Accepts an integer in a range. */
export function isInteger(least: number, most: number = Infinity): Reader {
  const range = most === Infinity ? `≥ ${least}` : `from ${least} to ${most}`;
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
      ? { value }
      : { problem: `must be an integer ${range}` };
}

/** Accepts one of a few strings. */
export function isOneOf(...choices: readonly string[]): Reader {
  return (value) =>
    choices.includes(value as string)
      ? { value }
      : { problem: `must be ${choices.map((choice) => JSON.stringify(choice)).join(" or ")}` };
}

/** Accepts an array whose every item is accepted; keeps a frozen copy. */
export function isListOf(read: Reader): Reader {
  return (value) => {
    if (!Array.isArray(value)) return { problem: "must be an array" };
    const items: unknown[] = [];
    for (const [index, given] of value.entries()) {
      const item = read(given);
      if ("problem" in item) return { got: given, ...item, at: `[${index}]${item.at ?? ""}` };
      items.push(item.value);
    }
    return { value: Object.freeze(items) };
  };
}

/** Accepts a non-empty string, or an array of them. */
export const isTextOrTexts: Reader = (value) =>
  Array.isArray(value)
    ? isListOf(isText)(value)
    : typeof value === "string"
    ? isText(value)
    : { problem: "must be a string or an array of strings" };

/** Members that can be used, and everything wrong with the others. */
export interface ReadMembers {
  readonly values: Record<string, unknown>;
  readonly problems: OptionProblem[];
}

/**
 * Checks an object against a table of its members. `undefined` counts as left out; known members may be inherited, as
 * from a class of options.
 *
 * @param path The option that holds the object; empty for the options themselves.
 */
export function readMembers(given: unknown, group: Group, path = ""): ReadMembers {
  const { members, required = [] } = group;
  const values: Record<string, unknown> = {};
  const problems: OptionProblem[] = [];
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    // A string here could be the secret that belongs into the object.
    const option = path === "" ? "options" : path, value = describeSecret(given);
    const problem = group.orBoolean === true ? "must be true, false or an object" : "must be an object";
    return { values, problems: [{ option, value, message: `${option} ${problem} (got ${value})` }] };
  }
  const nameOf = (member: string) => path === "" ? member : `${path}.${member}`;
  const source = given as Readonly<Record<string, unknown>>;
  for (const [member, reader] of Object.entries(members)) {
    const item = source[member];
    const option = nameOf(member);
    if (item === undefined) {
      if (required.includes(member)) problems.push(missingValue(option));
    } else if (typeof reader === "object" && reader.orBoolean === true && typeof item === "boolean") {
      values[member] = item && Object.freeze({});
    } else if (typeof reader === "object") {
      const read = readMembers(item, reader, option);
      problems.push(...read.problems);
      if (read.problems.length === 0) values[member] = Object.freeze(read.values);
    } else {
      const reading = reader(item);
      if ("value" in reading) values[member] = reading.value;
      else {
        const got = "got" in reading ? reading.got : item;
        problems.push(wrongValue(option, got, reading.problem, reading.at));
      }
    }
  }
  for (const member of Object.keys(source)) {
    if (Object.hasOwn(members, member) || source[member] === undefined) continue;
    const meant = nearest(member, Object.keys(members));
    const hint = meant === undefined ? "" : `; did you mean ${nameOf(meant)}?`;
    const option = nameOf(member);
    problems.push({ option, value: typeof source[member], message: `${option} is not an option${hint}` });
  }
  return { values, problems };
}

/** The known name that differs only in letter case, underscores or one or two letters. */
function nearest(typed: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.replaceAll(/[_-]/g, "").toLowerCase();
  return known.find((name) => plain(name) === plain(typed)) ??
    known.find((name) => typed.length > 3 && distance(plain(name), plain(typed)) <= 2);
}

/** The Levenshtein distance; 3 stands for more. */
function distance(one: string, other: string): number {
  if (Math.abs(one.length - other.length) > 2) return 3;
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const change = one[i - 1] === other[j - 1] ? 0 : 1;
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + change));
    }
    row = next;
  }
  return row[other.length]!;
}
