import { type OptionProblem, optionProblem } from "./option_problem.ts";

/** Looks at one value; returns what is wrong with it, such as "is no integer", or undefined. */
export type Check = (value: unknown) => string | undefined;

/** A table of members, each with its check or the table of its own members. */
export interface Checks {
  readonly [member: string]: Check | { readonly members: Checks };
}

export const isBoolean: Check = (value) =>
  typeof value === "boolean" ? undefined : "is neither true nor false";
export const isText: Check = (value) =>
  typeof value === "string" && value !== "" ? undefined : "is no non-empty string";
export const isFunction: Check = (value) => typeof value === "function" ? undefined : "is no function";

/** A whole number in a range. */
export function isIntegerFrom(least: number, most: number = Number.MAX_SAFE_INTEGER): Check {
  return (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : most === Number.MAX_SAFE_INTEGER
      ? `is no integer of at least ${least}`
      : `is no integer from ${least} to ${most}`;
}

/** A time: zero and `Infinity` stand for none. */
export const isMilliseconds: Check = (value) =>
  typeof value === "number" && value >= 0 ? undefined : "is no number of milliseconds";

/** One of a few strings. */
export function isOneOf(...choices: readonly string[]): Check {
  return (value) =>
    typeof value === "string" && choices.includes(value)
      ? undefined
      : `is none of ${choices.map((choice) => JSON.stringify(choice)).join(", ")}`;
}

/** A list, each of whose items passes. */
export function isListOf(check: Check): Check {
  return (value) => {
    if (!Array.isArray(value)) return "is no array";
    for (const [index, item] of value.entries()) {
      const problem = check(item);
      if (problem !== undefined) return `has an item [${index}] that ${problem}`;
    }
    return undefined;
  };
}

/** Passes what one of two checks passes. */
export function isEither(one: Check, other: Check): Check {
  return (value) => one(value) === undefined ? undefined : other(value);
}

/** An object of these methods, all of which may be missing. */
export function hasOptionalMethods(...names: readonly string[]): Check {
  return (value) => {
    if (typeof value !== "object" || value === null) return "is no object";
    const wrong = names.find((name) => {
      const method = (value as Record<string, unknown>)[name];
      return method !== undefined && typeof method !== "function";
    });
    return wrong === undefined ? undefined : `has a member "${wrong}" that is no function`;
  };
}

/**
 * Holds an object against a table: every member known, every value as its check wants it. `undefined` counts as
 * left out. Getters and proxies that throw are reported, not let through.
 */
export function checkMembers(value: unknown, checks: Checks, prefix = ""): OptionProblem[] {
  const name = (member: string) => prefix === "" ? member : `${prefix}.${member}`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return [optionProblem(prefix === "" ? "options" : prefix, value, "is no object")];
  }
  const problems: OptionProblem[] = [];
  let members: [string, unknown][];
  try {
    members = Object.entries(value);
  } catch {
    return [optionProblem(prefix === "" ? "options" : prefix, value, "cannot be read")];
  }
  for (const [member, item] of members) {
    if (item === undefined) continue;
    if (!Object.hasOwn(checks, member)) {
      const known = nearest(member, Object.keys(checks));
      const hint = known === undefined ? "" : `; did you mean ${name(known)}?`;
      problems.push({
        option: name(member),
        value: typeof item,
        message: `${name(member)}: is no option of this name${hint}`,
      });
      continue;
    }
    const check = checks[member]!;
    if (typeof check === "function") {
      const problem = attempt(check, item);
      if (problem !== undefined) problems.push(optionProblem(name(member), item, problem));
    } else {
      problems.push(...checkMembers(item, check.members, name(member)));
    }
  }
  return problems;
}

function attempt(check: Check, value: unknown): string | undefined {
  try {
    return check(value);
  } catch {
    return "cannot be read";
  }
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
