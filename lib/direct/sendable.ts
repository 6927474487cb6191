import { isConnectionHeader } from "../core/grpc/connection_headers.ts";

/** True if a carrier sends metadata of this name; it writes the other headers itself. */
export function isSendable(name: string): boolean {
  return !isConnectionHeader(name) && name !== "grpc-encoding" && name !== "grpc-timeout";
}
