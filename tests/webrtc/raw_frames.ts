/** Frames of gRPC over a data channel, written and read by the generated code alone (protocol §1.3). */

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type Request,
  RequestSchema,
  type Response,
  ResponseSchema,
} from "../../proto/gen/proto/rpc/webrtc/v1/grpc_pb.ts";

type RequestType = NonNullable<MessageInitShape<typeof RequestSchema>["type"]>;
type ResponseType = NonNullable<MessageInitShape<typeof ResponseSchema>["type"]>;

/** A frame from a client. */
export function requestFrame(stream: number, type: RequestType): Uint8Array {
  return toBinary(RequestSchema, create(RequestSchema, { stream: { id: BigInt(stream) }, type }));
}

/** A frame from a server. */
export function responseFrame(stream: number, type: ResponseType): Uint8Array {
  return toBinary(ResponseSchema, create(ResponseSchema, { stream: { id: BigInt(stream) }, type }));
}

/** Reads a frame from a client. */
export function readRequest(frame: Uint8Array): Request {
  return fromBinary(RequestSchema, frame);
}

/** Reads a frame from a server. */
export function readResponse(frame: Uint8Array): Response {
  return fromBinary(ResponseSchema, frame);
}

/** The shapes that a server sends most. */
export const answer = {
  headers: (stream: number): Uint8Array => responseFrame(stream, { case: "headers", value: {} }),
  packet: (stream: number, data: Uint8Array, eom: boolean = true): Uint8Array =>
    responseFrame(stream, { case: "message", value: { packetMessage: { data, eom } } }),
  trailers: (stream: number, code?: number, message: string = ""): Uint8Array =>
    responseFrame(stream, {
      case: "trailers",
      value: code === undefined ? {} : { status: { code, message } },
    }),
};

/** Bytes from hexadecimal digits. */
export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
