import { describeSecret, describeType, type OptionProblem, optionProblem } from "./option_problem.ts";

/** A value as it is kept, or what is wrong with it, such as "is no integer". */
export type Reading = { readonly value: unknown } | { readonly problem: string };

/** Reads one value, and takes from it what can change: what is kept is the reader's own. */
export type Reader = (value: unknown) => Reading;

/** An object with members of its own. */
export interface Group {
  readonly members: Readers;
  /** Members that have to be there when the group is. */
  readonly required?: readonly string[];
}

/** A table of members, each with its reader or the table of its own members. */
export interface Readers {
  readonly [member: string]: Reader | Group;
}

/** What an object had to say. */
export interface ReadMembers {
  /** Every member that can be used; groups are objects of their own. */
  readonly values: Record<string, unknown>;
  /** Everything that cannot. */
  readonly problems: OptionProblem[];
}

/** Most items of a list. An array that claims to hold billions would be read for hours. */
const MAX_ITEMS = 10_000;

/** Most characters of a name in a message. */
const MAX_NAME = 100;

export const isBoolean: Reader = (value) =>
  typeof value === "boolean" ? { value } : { problem: "is neither true nor false" };
export const isText: Reader = (value) =>
  typeof value === "string" && value !== "" ? { value } : { problem: "is no non-empty string" };
export const isFunction: Reader = (value) =>
  typeof value === "function" ? { value } : { problem: "is no function" };

/** A whole number in a range. */
export function isIntegerFrom(least: number, most: number = Number.MAX_SAFE_INTEGER): Reader {
  return (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most ? { value } : {
      problem: most === Number.MAX_SAFE_INTEGER
        ? `is no integer of at least ${least}`
        : `is no integer from ${least} to ${most}`,
    };
}

/** A time: zero and `Infinity` stand for none. */
export const isMilliseconds: Reader = (value) =>
  typeof value === "number" && value >= 0 ? { value } : { problem: "is no number of milliseconds" };

/** One of a few strings. */
export function isOneOf(...choices: readonly string[]): Reader {
  return (value) =>
    typeof value === "string" && choices.includes(value)
      ? { value }
      : { problem: `is none of ${choices.map((choice) => JSON.stringify(choice)).join(", ")}` };
}

/** A list, each of whose items passes; kept as a frozen copy. */
export function isListOf(read: Reader): Reader {
  return (value) => {
    if (!Array.isArray(value)) return { problem: "is no array" };
    const { length } = value;
    if (length > MAX_ITEMS) return { problem: `has more than ${MAX_ITEMS} items` };
    const items: unknown[] = [];
    for (let index = 0; index < length; index++) {
      const item = read(value[index]);
      if ("problem" in item) return { problem: `has an item [${index}] that ${item.problem}` };
      items.push(item.value);
    }
    return { value: Object.freeze(items) };
  };
}

/** Passes what one of two readers passes. */
export function isEither(one: Reader, other: Reader): Reader {
  return (value) => {
    const first = one(value);
    return "problem" in first ? other(value) : first;
  };
}

/**
 * Holds an object against a table: every member known, every value as its reader wants it, each read once.
 * `undefined` counts as left out. Getters and proxies that throw are reported, not let through.
 */
export function readMembers(value: unknown, group: Group, prefix = ""): ReadMembers {
  const name = (member: string) => prefix === "" ? member : `${prefix}.${member}`;
  const self = prefix === "" ? "options" : prefix;
  if (typeof value !== "object" || value === null || describeType(value) === "array") {
    // A string in the place of a group could be the secret that belongs into it.
    const shown = describeSecret(value);
    return {
      values: {},
      problems: [{ option: self, value: shown, message: `${self}: ${shown} is no object` }],
    };
  }
  const values: Record<string, unknown> = {};
  const problems: OptionProblem[] = [];
  let own: string[];
  try {
    own = Object.keys(value);
  } catch {
    return { values, problems: [optionProblem(self, value, "cannot be read")] };
  }
  // Known members may be inherited, as from a class of options; what is unknown is only noticed on the object itself.
  const known = Object.keys(group.members);
  const unknown = own.filter((member) => !Object.hasOwn(group.members, member));
  for (const member of [...own.filter((member) => !unknown.includes(member)), ...known, ...unknown]) {
    if (Object.hasOwn(values, member)) continue;
    const reader = group.members[member];
    let item: unknown;
    try {
      item = (value as Record<string, unknown>)[member];
    } catch {
      const option = name(member).slice(0, MAX_NAME);
      problems.push({ option, value: "unreadable", message: `${option}: cannot be read: its getter throws` });
      values[member] = undefined;
      continue;
    }
    if (unknown.includes(member)) {
      if (item !== undefined) problems.push(unknownOption(name, member, item, known));
      continue;
    }
    values[member] = undefined;
    if (item === undefined) {
      if (group.required?.includes(member) === true) {
        problems.push(optionProblem(name(member), undefined, "is missing"));
      }
    } else if (typeof reader === "object") {
      const read = readMembers(item, reader, name(member));
      problems.push(...read.problems);
      if (read.problems.length === 0) values[member] = Object.freeze(read.values);
    } else {
      const reading = attempt(reader!, item);
      if ("problem" in reading) problems.push(optionProblem(name(member), item, reading.problem));
      else values[member] = reading.value;
    }
  }
  for (const member of known) if (values[member] === undefined) delete values[member];
  return { values, problems };
}

function attempt(read: Reader, value: unknown): Reading {
  try {
    return read(value);
  } catch {
    return { problem: "cannot be read" };
  }
}

function unknownOption(
  name: (member: string) => string,
  member: string,
  item: unknown,
  known: readonly string[],
): OptionProblem {
  const meant = nearest(member, known);
  const hint = meant === undefined ? "" : `; did you mean ${name(meant)}?`;
  const option = name(member).slice(0, MAX_NAME);
  return { option, value: typeof item, message: `${option}: is no option of this name${hint}` };
}

/** The known name that differs only in letter case, underscores or one or two letters. */
function nearest(typed: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.replaceAll(/[_-]/g, "").toLowerCase();
  return known.find((name) => plain(name) === plain(typed)) ??
    known.find((name) => typed.length > 3 && distance(plain(name), plain(typed)) <= 2);
}

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
