import { create, type MessageShape } from "@bufbuild/protobuf";
import { BytesValueSchema } from "@bufbuild/protobuf/wkt";
import { type CallOptions, createClient, type Transport } from "@connectrpc/connect";
import { answersOne, sendsOne, type StreamKind } from "../core/grpc/stream_kind.ts";
import { codecError } from "../rpc/message_codec.ts";
import { rawService } from "../rpc/raw_method.ts";

/** A class of messages, as protobuf-es v1 generates it. */
export interface MessageClass {
  readonly typeName: string;
  new (fields?: object): { toBinary(): Uint8Array<ArrayBuffer> };
  fromBinary(bytes: Uint8Array): object;
}

/** A method of a service, as protobuf-es v1 generates it. */
export interface MethodInfo {
  readonly name: string;
  /** An index of `KINDS`. */
  readonly kind: number;
  readonly I: MessageClass;
  readonly O: MessageClass;
}

/** A service, as protobuf-es v1 generates it. */
export interface ServiceInfo {
  readonly typeName: string;
  readonly methods: Readonly<Record<string, MethodInfo>>;
}

/** Kinds of methods, in the order of protobuf-es v1's `MethodKind`. */
export const KINDS: readonly StreamKind[] = [
  "unary",
  "server_streaming",
  "client_streaming",
  "bidi_streaming",
];

type Bytes = MessageShape<typeof BytesValueSchema>;

/** A method of a client for raw messages. The answer is an iterable if the method streams it. */
type RawMethod = (
  input: Bytes | AsyncIterable<Bytes>,
  options?: CallOptions,
) => Promise<Bytes> & AsyncIterable<Bytes>;

/** Makes a client of a service, with the methods and messages that Connect v1's `createClient` would give it. */
export function serviceClient(service: ServiceInfo, transport: Transport): Record<string, unknown> {
  const methods = Object.entries(service.methods);
  const raw = rawService(service.typeName, methods.map(([, { name, kind }]) => [name, KINDS[kind]!]));
  const calls = createClient(raw, transport) as unknown as Readonly<Record<string, RawMethod>>;
  return Object.fromEntries(
    methods.map(([localName, method], index) => [
      localName,
      typedMethod(method, calls[raw.methods[index]!.localName]!),
    ]),
  );
}

function typedMethod({ kind, I, O }: MethodInfo, call: RawMethod): unknown {
  const streams = KINDS[kind]!;
  const encoded = (input: object) =>
    sendsOne(streams) ? encode(I, input) : encodeEach(I, input as AsyncIterable<object>);
  return answersOne(streams)
    ? async (input: object, options?: CallOptions) => decode(O, await call(encoded(input), options))
    : (input: object, options?: CallOptions) => decodeEach(O, call(encoded(input), options));
}

/** Serializes a message, or the fields of one. */
function encode(message: MessageClass, input: object): Bytes {
  try {
    const given = input instanceof message ? input : new message(input);
    return create(BytesValueSchema, { value: given.toBinary() });
  } catch (error) {
    throw codecError(`cannot serialize ${message.typeName}`, error);
  }
}

async function* encodeEach(message: MessageClass, inputs: AsyncIterable<object>): AsyncGenerator<Bytes> {
  for await (const input of inputs) yield encode(message, input);
}

function decode(message: MessageClass, { value }: Bytes): object {
  try {
    return message.fromBinary(value);
  } catch (error) {
    throw codecError(`cannot parse the server's ${message.typeName}`, error);
  }
}

async function* decodeEach(message: MessageClass, outputs: AsyncIterable<Bytes>): AsyncGenerator<object> {
  for await (const output of outputs) yield decode(message, output);
}
