import {
  create,
  createFileRegistry,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type BytesValue,
  BytesValueSchema,
  file_google_protobuf_wrappers,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import type { StreamKind } from "../core/grpc/stream_kind.ts";

/** Methods whose messages are passed as they are. */
const RAW = new WeakSet<DescMethod>();

/**
 * A method whose messages need no description: `value` of a `BytesValue` holds a serialized message as it goes over
 * the wire, unread.
 *
 * @param path `/package.Service/Method`.
 * @throws TypeError when the path is none
 */
export function rawMethod(path: string, kind: StreamKind): DescMethod {
  const [, packageName, service, name] = /^\/(?:([^/]+)\.)?([^./]+)\/([^/]+)$/.exec(path) ?? [];
  if (service === undefined || name === undefined) {
    throw new TypeError(`${JSON.stringify(path)} is no /package.Service/Method`);
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

/** The bytes of a message on the wire. */
export function messageToBytes<D extends DescMessage>(
  method: DescMethod,
  schema: D,
  message: MessageShape<D>,
): Uint8Array {
  return RAW.has(method) ? (message as unknown as BytesValue).value : toBinary(schema, message);
}

/** Reads the bytes of a message from the wire. */
export function messageFromBytes<D extends DescMessage>(
  method: DescMethod,
  schema: D,
  bytes: Uint8Array,
): MessageShape<D> {
  return RAW.has(method)
    ? create(BytesValueSchema, { value: bytes }) as unknown as MessageShape<D>
    : fromBinary(schema, bytes);
}
