import { create, createFileRegistry, type DescMethod, type DescService } from "@bufbuild/protobuf";
import {
  BytesValueSchema,
  file_google_protobuf_wrappers,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { answersOne, sendsOne, type StreamKind } from "../core/grpc/stream_kind.ts";

/** Methods whose messages pass unchanged. */
const RAW = new WeakSet<DescMethod>();

/**
 * Makes a method whose messages need no description: the `value` of a `BytesValue` is the serialized message, unread.
 *
 * @param path `/package.Service/Method`.
 * @throws TypeError when the path has another form
 */
export function rawMethod(path: string, kind: StreamKind): DescMethod {
  const [, service, name] = /^\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  if (service === undefined || name === undefined || !/^(?:.+\.)?[^.]+$/.test(service)) {
    throw new TypeError(`${JSON.stringify(path)} is not /package.Service/Method`);
  }
  return rawService(service, [[name, kind]]).methods[0]!;
}

/**
 * Makes a service of such methods.
 *
 * @param typeName `package.Service`.
 */
export function rawService(
  typeName: string,
  methods: readonly (readonly [name: string, kind: StreamKind])[],
): DescService {
  const dot = typeName.lastIndexOf(".");
  const type = `.${BytesValueSchema.typeName}`;
  const file = create(FileDescriptorProtoSchema, {
    name: "raw.proto",
    package: typeName.slice(0, Math.max(0, dot)),
    syntax: "proto3",
    dependency: ["google/protobuf/wrappers.proto"],
    service: [{
      name: typeName.slice(dot + 1),
      method: methods.map(([name, kind]) => ({
        name,
        inputType: type,
        outputType: type,
        clientStreaming: !sendsOne(kind),
        serverStreaming: !answersOne(kind),
      })),
    }],
  });
  const registry = createFileRegistry(file, () => file_google_protobuf_wrappers);
  const service = registry.getFile(file.name)!.services[0]!;
  for (const method of service.methods) RAW.add(method);
  return service;
}

/** True if the messages of a method pass unchanged. */
export function isRawMethod(method: DescMethod): boolean {
  return RAW.has(method);
}
