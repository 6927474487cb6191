/** The sides of a call that stream, in the words of protobuf-es' `DescMethod`. */
export type StreamKind = "unary" | "server_streaming" | "client_streaming" | "bidi_streaming";
