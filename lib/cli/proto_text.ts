import type {
  DescEnum,
  DescField,
  DescMessage,
  DescMethod,
  DescOneof,
  DescService,
} from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";

/*
 * Formats descriptors as the text of a .proto file, with full names.
 */

/** Formats a service with its methods. */
export function serviceText({ typeName, methods }: DescService): string {
  return block(`service ${typeName}`, methods.map((method) => signature(method)));
}

/** Formats a method under its full name. */
export function methodText(method: DescMethod): string {
  return `// ${method.parent.typeName}/${method.name}\n${signature(method)}\n`;
}

function signature({ name, input, output, methodKind }: DescMethod): string {
  const takes = methodKind === "client_streaming" || methodKind === "bidi_streaming" ? "stream " : "";
  const gives = methodKind === "server_streaming" || methodKind === "bidi_streaming" ? "stream " : "";
  return `rpc ${name}(${takes}${input.typeName}) returns (${gives}${output.typeName});`;
}

/** Formats a message with its fields. */
export function messageText({ typeName, members }: DescMessage): string {
  return block(`message ${typeName}`, members.flatMap((member) => memberLines(member)));
}

/** Formats an enumeration with its values. */
export function enumText({ typeName, values }: DescEnum): string {
  return block(`enum ${typeName}`, values.map(({ name, number }) => `${name} = ${number};`));
}

function memberLines(member: DescField | DescOneof): string[] {
  if (member.kind === "field") {
    return [`${label(member)}${fieldType(member)} ${member.name} = ${member.number};`];
  }
  return [`oneof ${member.name} {`, ...member.fields.map((field) => `  ${memberLines(field)[0]}`), "}"];
}

function label(field: DescField): string {
  if (field.fieldKind === "list") return "repeated ";
  return field.proto.proto3Optional ? "optional " : "";
}

function fieldType(field: DescField): string {
  const type = (field.message ?? field.enum)?.typeName ?? scalarName(field.scalar!);
  return field.fieldKind === "map" ? `map<${scalarName(field.mapKey)}, ${type}>` : type;
}

function scalarName(scalar: ScalarType): string {
  return ScalarType[scalar].toLowerCase();
}

function block(head: string, lines: readonly string[]): string {
  return lines.length === 0 ? `${head} {}\n` : `${head} {\n${lines.map((line) => `  ${line}\n`).join("")}}\n`;
}
