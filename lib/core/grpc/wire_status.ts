import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Status, StatusSchema } from "../../../proto/gen/google/rpc/status_pb.ts";
import type { Metadata } from "./metadata.ts";

/*
 * google.rpc.Status and ConnectError have the same codes (protocol §4.10) and details.
 */

/** Converts a status to an error, with details and the given metadata; returns undefined for an absent or OK status. */
export function fromWireStatus(
  status: Pick<Status, "code" | "message" | "details"> | undefined,
  metadata?: Metadata,
): ConnectError | undefined {
  if (status === undefined || status.code === 0) return undefined;
  const code = status.code >= Code.Canceled && status.code <= Code.Unauthenticated
    ? status.code as Code
    : Code.Unknown;
  const error = new ConnectError(status.message, code, metadata);
  // As in Connect's own transports: a handler that passes the error on does not pass on its metadata.
  error.isWireError = true;
  error.details = status.details.map((detail) => ({
    type: detail.typeUrl.slice(detail.typeUrl.lastIndexOf("/") + 1),
    value: detail.value,
  }));
  return error;
}

/** Converts an error to a status. */
export function toWireStatus(error: ConnectError): MessageInitShape<typeof StatusSchema> {
  return {
    code: error.code,
    message: error.rawMessage,
    details: error.details.map((detail) =>
      "desc" in detail
        ? anyPack(detail.desc, create(detail.desc, detail.value))
        : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value }
    ),
  };
}
