/** The sides of a call that stream, in the words of protobuf-es' `DescMethod`. */
export type StreamKind = "unary" | "server_streaming" | "client_streaming" | "bidi_streaming";

/** True if the caller sends one message. */
export function sendsOne(kind: StreamKind): boolean {
  return kind === "unary" || kind === "server_streaming";
}

/** True if the server answers with one message. */
export function answersOne(kind: StreamKind): boolean {
  return kind === "unary" || kind === "client_streaming";
}
