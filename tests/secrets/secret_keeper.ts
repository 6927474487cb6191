/** Collects all output of a dial and its channel, and finds secrets in it. */

import { inspect } from "node:util";
import type { DialEvent, DialOptions, Logger } from "../../mod.ts";

/** The output so far. */
export interface SecretKeeper {
  /** Makes a secret, and looks for it from now on. */
  secret(label: string): string;
  /** Looks for a secret that somebody else has made. */
  guard(label: string, value: string): void;
  /** A logger and a listener that record everything they receive. */
  readonly ears: Required<Pick<DialOptions, "logger" | "onEvent">>;
  /** Records the inspection of a value: a result, or something thrown. */
  show(where: string, value: unknown): void;
  /** The same for options. JSON contains them completely, so that they can be passed to another process. */
  showOptions(where: string, value: object): void;
  /** The number of recorded lines, events and values. */
  readonly counts: Readonly<Record<"line" | "event" | "value", number>>;
  /** The places where secrets were found. */
  leaks(): string[];
}

/** Makes a keeper. */
export function createSecretKeeper(): SecretKeeper {
  const secrets = new Map<string, string>();
  const taken: { readonly where: string; readonly text: string }[] = [];
  const counts = { line: 0, event: 0, value: 0 };

  function take(kind: keyof typeof counts, where: string, value: unknown): void {
    counts[kind]++;
    for (const text of looks(value)) taken.push({ where: `${kind} ${where}`, text });
  }

  const method = (level: keyof Logger) => (message: string, fields?: Record<string, unknown>) =>
    take("line", level, { message, fields });

  function guard(label: string, value: string): void {
    secrets.set(label, value);
    secrets.set(`${label}, as base64`, btoa(value).replace(/=+$/, ""));
    secrets.set(`${label}, in a URL`, encodeURIComponent(value));
  }

  return {
    secret(label) {
      const value = `sesame-${crypto.randomUUID()}`;
      guard(label, value);
      return value;
    },
    guard,
    ears: {
      logger: {
        debug: method("debug"),
        info: method("info"),
        warn: method("warn"),
        error: method("error"),
      },
      onEvent: (event: DialEvent) => take("event", event.type, event),
    },
    show: (where, value) => take("value", where, value),
    showOptions(where, value) {
      counts.value++;
      for (const text of inspections(value)) taken.push({ where: `options ${where}`, text });
    },
    counts,
    leaks: () =>
      taken.flatMap(({ where, text }) =>
        [...secrets].filter(([, secret]) => text.includes(secret)).map(([label]) => `${label} in ${where}`)
      ),
  };
}

/** The forms in which people and programs see a value. */
function looks(value: unknown): string[] {
  const texts = [...inspections(value), toJson(value)];
  if (value instanceof Error) {
    texts.push(value.message, value.stack ?? "", ...value.cause === undefined ? [] : looks(value.cause));
  }
  return texts;
}

function inspections(value: unknown): string[] {
  const whole = { depth: 12, showHidden: true, maxStringLength: Infinity, maxArrayLength: Infinity };
  return [inspect(value), inspect(value, whole), String(value)];
}

function toJson(value: unknown): string {
  const seen = new Set<unknown>();
  return JSON.stringify(value, (_key, item) => {
    if (typeof item === "bigint") return String(item);
    if (typeof item !== "object" || item === null) return item;
    if (seen.has(item)) return undefined;
    seen.add(item);
    return item instanceof Error ? { ...item, name: item.name, message: item.message } : item;
  }) ?? "";
}
