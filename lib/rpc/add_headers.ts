import { Metadata } from "../core/grpc/metadata.ts";

/** Adds every value of some headers, if there are any, to metadata. */
export function addHeaders(metadata: Headers, headers: Headers | undefined): void {
  if (headers === undefined) return;
  for (const [name, values] of Metadata.from(headers).lists()) {
    for (const value of values) metadata.append(name, value);
  }
}
