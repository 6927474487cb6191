import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type BytesValue, BytesValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { messageOf } from "../core/error_message.ts";
import { MAX_MESSAGE_BYTES } from "../core/limits.ts";
import { isRawMethod } from "./raw_method.ts";

/**
 * Serializes a request message.
 *
 * @throws ConnectError `Internal` when it cannot be serialized, `ResourceExhausted` when it is too large
 */
export function serialize<I extends DescMessage>(
  method: DescMethod & { readonly input: I },
  message: MessageShape<I>,
): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = isRawMethod(method)
      ? (message as unknown as BytesValue).value
      : toBinary<DescMessage>(method.input, message);
  } catch (error) {
    throw codecError(`cannot serialize ${method.input.typeName}`, error);
  }
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new ConnectError(
      `a message of ${bytes.length} bytes is over the limit of ${MAX_MESSAGE_BYTES} bytes`,
      Code.ResourceExhausted,
    );
  }
  return bytes;
}

/**
 * Parses an answer message.
 *
 * @throws ConnectError `Internal` when it cannot be parsed
 */
export function parse<O extends DescMessage>(
  method: DescMethod & { readonly output: O },
  bytes: Uint8Array,
): MessageShape<O> {
  try {
    return isRawMethod(method)
      ? create(BytesValueSchema, { value: bytes }) as unknown as MessageShape<O>
      : fromBinary(method.output, bytes);
  } catch (error) {
    throw codecError(`cannot parse the server's ${method.output.typeName}`, error);
  }
}

/** The error of a message that cannot be serialized or parsed. */
export function codecError(what: string, error: unknown): ConnectError {
  return new ConnectError(`${what}: ${messageOf(error)}`, Code.Internal, undefined, undefined, error);
}
