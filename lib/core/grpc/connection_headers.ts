/** Headers of one HTTP connection or one HTTP message (RFC 9110, sections 7.6.1 and 8). */
const OF_THE_CONNECTION = new Set([
  ...["connection", "content-length", "content-type", "expect", "host", "http2-settings", "keep-alive"],
  ...["proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"],
]);

/** True if a header belongs to the connection, and not to the metadata of a call. */
export function isConnectionHeader(name: string): boolean {
  return OF_THE_CONNECTION.has(name);
}
