import { create, type DescMessage, toJson } from "@bufbuild/protobuf";
import {
  DescriptorProtoSchema,
  EnumDescriptorProtoSchema,
  FieldDescriptorProtoSchema,
  MethodDescriptorProtoSchema,
  ServiceDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import type { ReflectedServices } from "../core/grpc/reflected_services.ts";
import { UsageError } from "./arguments.ts";
import type { Run } from "./command.ts";
import { addressOf, dialMachine } from "./dial_command.ts";
import { EXIT } from "./exit_code.ts";
import { type Described, protoText } from "./proto_text.ts";

/** Shows a service, method, message or enumeration. */
export const describe: Run = async (args, terminal) => {
  const { positionals } = args;
  const name = positionals.at(-1);
  // Names have no colon, so this is an address.
  if (name === undefined || positionals.length > 2 || (positionals.length === 1 && name.includes(":"))) {
    throw new UsageError(
      "describe takes a name, such as viam.robot.v1.RobotService, after the address if any",
    );
  }
  const address = addressOf(positionals.length === 2 ? positionals[0] : undefined, terminal);
  await using channel = await dialMachine(address, args, terminal);
  const reflection = await channel.reflect({ signal: terminal.signal });
  const found = find(name, reflection);
  if (found === undefined) {
    throw new UsageError(
      `The machine describes nothing named ${
        JSON.stringify(name)
      }; viam-dial list --methods shows what it has`,
    );
  }
  await terminal.write(args.has("json") ? `${JSON.stringify(asJson(found))}\n` : protoText(found));
  return EXIT.ok;
};

/** Accepts a dot in front of a method, too, as protobuf does. */
function find(name: string, reflection: ReflectedServices): Described | undefined {
  const plain = name.replace(/^[./]/, "");
  const type = reflection.get(plain);
  if (type !== undefined && type.kind !== "extension") return type;
  return reflection.getMethod(plain) ?? reflection.getMethod(plain.replace(/\.([^.]*)$/, "/$1"));
}

function asJson(found: Described): object {
  const { kind } = found;
  const name = found.kind === "rpc" ? `${found.parent.typeName}/${found.name}` : found.typeName;
  switch (found.kind) {
    case "service":
      return { kind, name, descriptor: toJson(ServiceDescriptorProtoSchema, found.proto) };
    case "message":
      return { kind, name, descriptor: toJson(DescriptorProtoSchema, withoutOptions(found)) };
    case "enum":
      return { kind, name, descriptor: toJson(EnumDescriptorProtoSchema, found.proto) };
    case "rpc": {
      const descriptor = toJson(MethodDescriptorProtoSchema, found.proto);
      return { kind, name, descriptor, input: asJson(found.input), output: asJson(found.output) };
    }
  }
}

/** Removes options: they may be extensions, which have no JSON form here. */
function withoutOptions({ proto }: DescMessage): DescMessage["proto"] {
  return create(DescriptorProtoSchema, {
    ...proto,
    field: proto.field.map((field) => create(FieldDescriptorProtoSchema, { ...field, options: undefined })),
  });
}
