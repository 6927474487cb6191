import type {
  DescEnum,
  DescField,
  DescMessage,
  DescMethod,
  DescOneof,
  DescService,
} from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { answersOne, sendsOne } from "../core/grpc/stream_kind.ts";

/** A descriptor that has a full name. */
export type Described = DescService | DescMethod | DescMessage | DescEnum;

/** Formats a descriptor as the text of a .proto file, with full names; a method with its messages. */
export function protoText(described: Described): string {
  switch (described.kind) {
    case "service":
      return block(`service ${described.typeName}`, described.methods.map(signature));
    case "message":
      return block(`message ${described.typeName}`, described.members.flatMap(memberLines));
    case "enum":
      return block(
        `enum ${described.typeName}`,
        described.values.map((one) => `${one.name} = ${one.number};`),
      );
    case "rpc": {
      const { parent, name, input, output } = described;
      const messages = [...new Set([input, output])];
      return [`// ${parent.typeName}/${name}\n${signature(described)}\n`, ...messages.map(protoText)].join(
        "\n",
      );
    }
  }
}

function signature({ name, input, output, methodKind }: DescMethod): string {
  const takes = sendsOne(methodKind) ? "" : "stream ";
  const gives = answersOne(methodKind) ? "" : "stream ";
  return `rpc ${name}(${takes}${input.typeName}) returns (${gives}${output.typeName});`;
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
