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
 * a double accepts one that it prints with the same digits, such as 1e300, and all others refuse it.
 *
 * @throws Error that names the field
 */
export function requestMessage(schema: DescMessage, json: unknown, registry: Registry): Message {
  const rounded = findBigint(json);
  try {
    const fitted = rounded === undefined ? json : withDoubles(schema, json, registry);
    return fromJson(schema, fitted as JsonValue, { registry });
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
  for (const item of Object.values(json)) {
    const found = findBigint(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Replaces bigints by numbers where a double stands and would be printed with the same digits. */
function withDoubles(schema: DescMessage, json: unknown, registry: Registry): unknown {
  switch (schema.typeName) {
    case "google.protobuf.Value":
    case "google.protobuf.Struct":
    case "google.protobuf.ListValue":
    case "google.protobuf.DoubleValue":
    case "google.protobuf.FloatValue":
      return allDoubles(json);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) return json;
  const given = json as Record<string, unknown>;
  const type = schema.typeName === "google.protobuf.Any"
    ? registry.getMessage(String(given["@type"]).replace(/^.*\//, ""))
    : undefined;
  if (type !== undefined) {
    const value = "value" in given ? { value: withDoubles(type, given["value"], registry) } : {};
    return { ...withDoubles(type, given, registry) as object, ...value };
  }
  return mapItems(given, (item, name) => {
    const field = schema.fields.find((known) => known.jsonName === name || known.name === name);
    const fit = (each: unknown): unknown =>
      field?.message !== undefined
        ? withDoubles(field.message, each, registry)
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
