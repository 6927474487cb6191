import type { ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";

/**
 * Adds the response headers, if there are any, to an error: its metadata combines both, as in any Connect transport.
 */
export function addHeaders(error: ConnectError, headers: Headers | undefined): void {
  if (headers === undefined) return;
  for (const [name, values] of Metadata.from(headers).lists()) {
    for (const value of values) error.metadata.append(name, value);
  }
}
