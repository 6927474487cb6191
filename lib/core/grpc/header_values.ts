/**
 * Headers that have one value in HTTP: `node:http2` throws at a second one, and among trailers the exception reaches
 * nobody.
 */
const SINGLE = new Set([
  ...["age", "authorization", "content-encoding", "content-language", "content-location", "content-md5"],
  ...["content-range", "dnt", "etag", "expires", "from", "if-match", "if-modified-since", "if-none-match"],
  ...["if-range", "if-unmodified-since", "last-modified", "location", "max-forwards", "range", "retry-after"],
  ...["tk", "upgrade-insecure-requests", "x-content-type-options"],
]);

/**
 * Returns the values of a name as HTTP/2 accepts them: one by one, or joined by commas where only one is allowed, which
 * has the same meaning (RFC 9110, section 5.3; gRPC over HTTP/2, *Custom-Metadata*).
 */
export function headerValues(name: string, values: readonly string[]): string[] {
  return SINGLE.has(name) ? [values.join(", ")] : [...values];
}
