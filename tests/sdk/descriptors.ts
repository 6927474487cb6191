/** Services that protobuf-es v1 generated, as descriptors of protobuf-es v2: for a machine to serve what an SDK calls. */

import { create, createFileRegistry, type DescService, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  EnumDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FieldDescriptorProtoSchema,
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_field_mask,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  OneofDescriptorProtoSchema,
  ServiceDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";

type FieldInit = Omit<MessageInitShape<typeof FieldDescriptorProtoSchema>, "$typeName">;

interface EnumInfo {
  readonly typeName: string;
  readonly values: readonly { readonly no: number; readonly name: string }[];
}

interface FieldInfo {
  readonly no: number;
  readonly name: string;
  readonly kind: "scalar" | "enum" | "message" | "map";
  readonly T?: unknown;
  readonly K?: number;
  readonly V?: Pick<FieldInfo, "kind" | "T">;
  readonly repeated?: boolean;
  readonly opt?: boolean;
  readonly oneof?: { readonly name: string };
}

interface MessageInfo {
  readonly typeName: string;
  readonly fields: { list(): readonly FieldInfo[] };
}

/** A service, as protobuf-es v1 generates it. */
export interface ServiceInfo {
  readonly typeName: string;
  readonly methods: Readonly<
    Record<string, { readonly name: string; readonly kind: number; readonly I: unknown; readonly O: unknown }>
  >;
}

const WELL_KNOWN = [
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_field_mask,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
];

/** Describes a service, its messages and what those refer to. */
export function describe(service: ServiceInfo): DescService {
  const files = new Map<string, FileDescriptorProto>();
  const seen = new Set<string>();

  /** The file of a package. */
  function fileOf(name: string): FileDescriptorProto {
    let file = files.get(name);
    if (file === undefined) {
      file = create(FileDescriptorProtoSchema, { name: `${name}.proto`, package: name, syntax: "proto3" });
      files.set(name, file);
    }
    return file;
  }

  /** The message with this name, which holds the types that are nested in it. */
  function messageOf(typeName: string): DescriptorProto {
    const { scope, name } = place(typeName);
    const siblings = /\.[A-Z]/.test(`.${scope}`) ? messageOf(scope).nestedType : fileOf(scope).messageType;
    let message = siblings.find((sibling) => sibling.name === name);
    if (message === undefined) {
      message = create(DescriptorProtoSchema, { name });
      siblings.push(message);
    }
    return message;
  }

  /** Adds the type, and returns its name; `from` is the package that refers to it. */
  function refer(from: string, kind: "enum" | "message", given: unknown): string {
    const type = (typeof (given as MessageInfo).typeName === "string" ? given : (given as () => unknown)()) as
      & MessageInfo
      & EnumInfo;
    const { typeName } = type;
    const wellKnown = WELL_KNOWN.find(({ messages, enums }) =>
      [...messages, ...enums].some((known) => known.typeName === typeName)
    );
    const file = wellKnown === undefined ? fileOf(packageOf(typeName)).name : wellKnown.proto.name;
    const { dependency, name } = fileOf(from);
    if (file !== name && !dependency.includes(file)) dependency.push(file);
    if (wellKnown === undefined && !seen.has(typeName)) {
      seen.add(typeName);
      if (kind === "enum") addEnum(type);
      else addMessage(type);
    }
    return `.${typeName}`;
  }

  function addEnum({ typeName, values }: EnumInfo): void {
    const { scope, name } = place(typeName);
    const siblings = /\.[A-Z]/.test(`.${scope}`) ? messageOf(scope).enumType : fileOf(scope).enumType;
    const value = values.map(({ no, name }) => ({ number: no, name }));
    siblings.push(create(EnumDescriptorProtoSchema, { name, value }));
  }

  function addMessage({ typeName, fields }: MessageInfo): void {
    const message = messageOf(typeName);
    const from = packageOf(typeName);
    const typed = (field: Pick<FieldInfo, "kind" | "T">, init: FieldInit) =>
      create(FieldDescriptorProtoSchema, {
        label: Label.OPTIONAL,
        ...init,
        ...(field.kind === "scalar" ? { type: field.T as Type } : {
          type: field.kind === "enum" ? Type.ENUM : Type.MESSAGE,
          typeName: refer(from, field.kind as "enum" | "message", field.T),
        }),
      });
    const oneofs: string[] = [];
    for (const field of fields.list()) {
      const { name, no: number } = field;
      if (field.kind === "map") {
        const entry = `${name.replaceAll("_", "")}Entry`;
        message.nestedType.push(create(DescriptorProtoSchema, {
          name: entry,
          field: [
            typed({ kind: "scalar", T: field.K }, { name: "key", number: 1 }),
            typed(field.V!, { name: "value", number: 2 }),
          ],
          options: { mapEntry: true },
        }));
        message.field.push(create(FieldDescriptorProtoSchema, {
          name,
          number,
          label: Label.REPEATED,
          type: Type.MESSAGE,
          typeName: `.${typeName}.${entry}`,
        }));
        continue;
      }
      const oneof = field.oneof?.name ??
        (field.opt === true && field.kind !== "message" ? `_${name}` : undefined);
      if (oneof !== undefined && !oneofs.includes(oneof)) oneofs.push(oneof);
      message.field.push(typed(field, {
        name,
        number,
        ...(field.repeated === true ? { label: Label.REPEATED } : {}),
        ...(oneof === undefined ? {} : { oneofIndex: oneofs.indexOf(oneof) }),
        ...(oneof?.startsWith("_") === true ? { proto3Optional: true } : {}),
      }));
    }
    message.oneofDecl.push(...oneofs.map((name) => create(OneofDescriptorProtoSchema, { name })));
  }

  const { scope, name } = place(service.typeName);
  const method = Object.values(service.methods).map(({ name, kind, I, O }) => ({
    name,
    inputType: refer(scope, "message", I),
    outputType: refer(scope, "message", O),
    // In the order of MethodKind: unary, server streaming, client streaming, bidirectional.
    serverStreaming: kind === 1 || kind === 3,
    clientStreaming: kind === 2 || kind === 3,
  }));
  const file = fileOf(scope);
  file.service.push(create(ServiceDescriptorProtoSchema, { name, method }));
  const registry = createFileRegistry(
    file,
    (path) =>
      WELL_KNOWN.find(({ proto }) => proto.name === path) ??
        [...files.values()].find((file) => file.name === path),
  );
  return registry.getService(service.typeName)!;
}

/** The package of a type: types begin with a capital, packages do not. */
function packageOf(typeName: string): string {
  return typeName.replace(/\.[A-Z].*$/, "");
}

/** The scope of a type, a package or a message, and its name there. */
function place(typeName: string): { readonly scope: string; readonly name: string } {
  const dot = typeName.lastIndexOf(".");
  return { scope: typeName.slice(0, dot), name: typeName.slice(dot + 1) };
}
