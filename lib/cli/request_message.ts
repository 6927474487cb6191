import {
  type DescMessage,
  fromJson,
  type JsonValue,
  type Message,
  type Registry,
  ScalarType,
} from "@bufbuild/protobuf";
import { messageOf } from "./error_text.ts";

/**
 * Reads a message from JSON, whose integers that a double would round are bigints. Fields of 64 bits accept those;
 * a double accepts one that it prints with the same digits, such as 1e300, and all others refuse it. Durations and
 * times that protobuf-es would take for others are refused, too.
 *
 * @throws Error that names the field
 */
export function requestMessage(schema: DescMessage, json: unknown, registry: Registry): Message {
  const rounded = findBigint(json);
  try {
    return fromJson(schema, fitted(schema, json, registry) as JsonValue, { registry });
  } catch (error) {
    const hint = rounded === undefined
      ? ""
      : `; a double would round ${rounded}, fields of 64 bits would not`;
    throw new Error(`${messageOf(error)}${hint}`, { cause: error });
  }
}

function findBigint(json: unknown): bigint | undefined {
  if (typeof json === "bigint") return json;
  if (typeof json !== "object" || json === null) return undefined;
  return Object.values(json).values().map(findBigint).find((found) => found !== undefined);
}

/** Replaces bigints by numbers where a double stands and would be printed with the same digits, and checks times. */
function fitted(schema: DescMessage, json: unknown, registry: Registry): unknown {
  switch (schema.typeName) {
    case "google.protobuf.Value":
    case "google.protobuf.Struct":
    case "google.protobuf.ListValue":
    case "google.protobuf.DoubleValue":
    case "google.protobuf.FloatValue":
      return allDoubles(json);
    case "google.protobuf.Duration":
      if (typeof json === "string" && !/^-?\d+(?:\.\d{1,9})?s$/.test(json)) {
        throw new Error(`${JSON.stringify(json)} is not a duration, such as "1.5s"`);
      }
      return json;
    case "google.protobuf.Timestamp":
      if (typeof json === "string" && !isTime(json)) {
        throw new Error(`${JSON.stringify(json)} is not a time, such as "2026-02-28T23:59:59Z"`);
      }
      return json;
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) return json;
  const given = json as Record<string, unknown>;
  const type = schema.typeName === "google.protobuf.Any"
    ? registry.getMessage(String(given["@type"]).replace(/^.*\//, ""))
    : undefined;
  if (type !== undefined) {
    const value = "value" in given ? { value: fitted(type, given["value"], registry) } : {};
    return { ...fitted(type, given, registry) as object, ...value };
  }
  return mapItems(given, (item, name) => {
    const field = schema.fields.find((known) => known.jsonName === name || known.name === name);
    const fit = (each: unknown): unknown =>
      field?.message !== undefined
        ? fitted(field.message, each, registry)
        : field?.scalar === ScalarType.DOUBLE || field?.scalar === ScalarType.FLOAT
        ? allDoubles(each)
        : each;
    if (field?.fieldKind === "list" && Array.isArray(item)) return item.map(fit);
    if (field?.fieldKind === "map" && typeof item === "object" && item !== null) {
      return mapItems(item as Record<string, unknown>, fit);
    }
    return fit(item);
  });
}

/** False for days and hours that do not exist, which `Date` takes for those of the next month or day. */
function isTime(text: string): boolean {
  const [day, hour] = text.split(/[T:]/, 2);
  const time = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day!) && hour !== "24";
}

function mapItems(
  items: Readonly<Record<string, unknown>>,
  change: (item: unknown, name: string) => unknown,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(items).map(([name, item]) => [name, change(item, name)]));
}

function allDoubles(json: unknown): unknown {
  if (typeof json === "bigint") {
    const number = Number(json);
    return significant(String(number)) === significant(String(json)) ? number : json;
  }
  if (typeof json !== "object" || json === null) return json;
  return Array.isArray(json) ? json.map(allDoubles) : mapItems(json as Record<string, unknown>, allDoubles);
}

/** The digits of a number without its exponent and trailing zeros. */
function significant(text: string): string {
  return text.replace(/e.*$/, "").replace(".", "").replace(/0+$/, "");
}
