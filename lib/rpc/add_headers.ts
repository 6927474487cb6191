import type { ConnectError } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";

/** Adds the headers that came, if any did, to an error: its metadata is of both, as with any Connect transport. */
export function addHeaders(error: ConnectError, headers: Headers | undefined): void {
  if (headers === undefined) return;
  for (const [name, values] of Metadata.from(headers).lists()) {
    for (const value of values) error.metadata.append(name, value);
  }
}
