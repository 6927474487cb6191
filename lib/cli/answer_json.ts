import type { DescField, DescMessage, JsonValue, Message, Registry } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import { reflect, type ReflectList, type ReflectMap, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { type Any, anyUnpack, type ListValue, type Struct, type Value } from "@bufbuild/protobuf/wkt";

/**
 * Writes a message as JSON. What protobuf's JSON has no form for is written as nearly as it can be, so that an answer
 * is shown whatever it holds: NaN in a `Struct`, a time out of range, an `Any` of an unknown type.
 */
export function answerJson(schema: DescMessage, message: Message, registry: Registry): JsonValue {
  try {
    return toJson(schema, message, { registry });
  } catch {
    return irregularJson(reflect(schema, message), registry);
  }
}

/** From ECMAScript's "JSON.parse source text access", which TypeScript's types lack. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** Writes JSON as text, and -0 as it is. */
export function jsonText(json: JsonValue, indent: number): string {
  return JSON.stringify(json, (_name, value) => Object.is(value, -0) ? rawJSON("-0") : value, indent);
}

function irregularJson(message: ReflectMessage, registry: Registry): JsonValue {
  const plain: unknown = message.message;
  switch (message.desc.typeName) {
    case "google.protobuf.Value":
      return valueJson(plain as Value);
    case "google.protobuf.Struct":
      return structJson(plain as Struct);
    case "google.protobuf.ListValue":
      return (plain as ListValue).values.map(valueJson);
    case "google.protobuf.Any":
      return anyJson(plain as Any, registry);
  }
  const json: Record<string, JsonValue> = {};
  for (const field of message.fields) {
    if (message.isSet(field)) json[field.jsonName] = fieldJson(field, message.get(field), registry);
  }
  return json;
}

function fieldJson(field: DescField, value: unknown, registry: Registry): JsonValue {
  const item = (each: unknown): JsonValue => {
    if (field.enum !== undefined) return field.enum.value[each as number]?.name ?? (each as number);
    if (field.message === undefined) return scalarJson(each);
    const { desc, message } = each as ReflectMessage;
    return answerJson(desc, message, registry);
  };
  switch (field.fieldKind) {
    case "list":
      return Array.from(value as ReflectList, item);
    case "map":
      return Object.fromEntries(Array.from(value as ReflectMap, ([key, each]) => [String(key), item(each)]));
    default:
      return item(value);
  }
}

function scalarJson(value: unknown): JsonValue {
  if (value instanceof Uint8Array) return base64Encode(value);
  if (typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value))) {
    return String(value);
  }
  return value as JsonValue;
}

function valueJson({ kind }: Value): JsonValue {
  switch (kind.case) {
    case "structValue":
      return structJson(kind.value);
    case "listValue":
      return kind.value.values.map(valueJson);
    case "nullValue":
    case undefined:
      return null;
    default:
      return scalarJson(kind.value);
  }
}

function structJson({ fields }: Struct): JsonValue {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, valueJson(value)]));
}

function anyJson(any: Any, registry: Registry): JsonValue {
  const message = anyUnpack(any, registry);
  const schema = message && registry.getMessage(message.$typeName);
  if (schema === undefined) return { "@type": any.typeUrl, "@value": base64Encode(any.value) };
  const json = answerJson(schema, message!, registry);
  return typeof json === "object" && json !== null && !Array.isArray(json)
    ? { "@type": any.typeUrl, ...json }
    : { "@type": any.typeUrl, value: json };
}
