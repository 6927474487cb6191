/**
 * Largest serialized message in either direction, in bytes: 2^25, as in every Viam implementation (goutils
 * `rpc/const.go`; protocol §4.5).
 */
export const MAX_MESSAGE_BYTES = 33_554_432;

/**
 * Largest data channel frame we send, in bytes. pion reads each frame into a buffer of this size and closes the
 * channel on a larger one (protocol §4.5).
 */
export const MAX_FRAME_BYTES = 65_535;

/**
 * Most bytes of one message that go into one frame. A frame around them is at most 65,535 bytes for stream ids
 * below 2^35 (protocol §4.5, goutils' own figure for requests).
 */
export const MAX_PACKET_BYTES = 65_509;

/** Most bytes of header fields of an answer over HTTP/2 that we announce to take (RFC 9113, section 6.5.2). */
export const MAX_HEADER_LIST_BYTES = 64 * 1024;

/**
 * Most entries of metadata that are read: as many as HTTP/2 has room for in the 64 KiB that we announce (RFC 9113, section
 * 6.5.2). Runtimes keep `Headers` as lists: Deno takes over 40 s for ten times as many.
 */
export const MAX_METADATA_ENTRIES = MAX_HEADER_LIST_BYTES / 32;

/**
 * Longest time that a timer can be set to, in milliseconds: some 24 days, in whole seconds, which timeouts of that length
 * are sent in. A longer one would be over at once, here and on servers in JavaScript.
 */
export const MAX_TIMER_MS = 2_147_483_000;
