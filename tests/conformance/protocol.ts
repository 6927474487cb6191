/**
 * The suite's messages. They are generated from the suite's own .proto files, into a folder that is not committed:
 * `deno task conformance --prepare`.
 */

export {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  ClientCompatResponseSchema,
  type ClientResponseResult,
  ClientResponseResultSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/client_compat_pb.ts";
export {
  Compression,
  HTTPVersion,
  Protocol,
  StreamType,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/config_pb.ts";
export {
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/server_compat_pb.ts";
export {
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload,
  type ConformancePayload_RequestInfo,
  ConformancePayload_RequestInfoSchema,
  ConformancePayloadSchema,
  ConformanceService,
  type Error as WireError,
  ErrorSchema as WireErrorSchema,
  type Header,
  HeaderSchema,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
  UnimplementedRequestSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/service_pb.ts";
