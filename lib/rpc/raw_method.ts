import { create, createFileRegistry, type DescMethod } from "@bufbuild/protobuf";
import {
  BytesValueSchema,
  file_google_protobuf_wrappers,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import type { StreamKind } from "../core/grpc/stream_kind.ts";

/** Methods whose messages pass unchanged. */
const RAW = new WeakSet<DescMethod>();

/**
 * Makes a method whose messages need no description: the `value` of a `BytesValue` is the serialized message, unread.
 *
 * @param path `/package.Service/Method`.
 * @throws TypeError when the path has another form
 */
export function rawMethod(path: string, kind: StreamKind): DescMethod {
  const [, packageName, service, name] = /^\/(?:([^/]+)\.)?([^./]+)\/([^/]+)$/.exec(path) ?? [];
  if (service === undefined || name === undefined) {
    throw new TypeError(`${JSON.stringify(path)} is not /package.Service/Method`);
  }
  const type = `.${BytesValueSchema.typeName}`;
  const file = create(FileDescriptorProtoSchema, {
    name: "raw.proto",
    package: packageName ?? "",
    syntax: "proto3",
    dependency: ["google/protobuf/wrappers.proto"],
    service: [{
      name: service,
      method: [{
        name,
        inputType: type,
        outputType: type,
        clientStreaming: kind === "client_streaming" || kind === "bidi_streaming",
        serverStreaming: kind === "server_streaming" || kind === "bidi_streaming",
      }],
    }],
  });
  const registry = createFileRegistry(file, () => file_google_protobuf_wrappers);
  const method = registry.getFile(file.name)!.services[0]!.methods[0]!;
  RAW.add(method);
  return method;
}

/** True if the messages of a method pass unchanged. */
export function isRawMethod(method: DescMethod): boolean {
  return RAW.has(method);
}
