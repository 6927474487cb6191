import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";

/** A session description, as WebRTC has it. */
export interface SessionDescription {
  readonly type: "offer" | "answer";
  readonly sdp: string;
}

/**
 * Encodes the `sdp` field of signaling messages: standard base64, with padding, of the JSON of both (protocol §3.2).
 */
export function encodeSessionDescription(description: SessionDescription): string {
  const { type, sdp } = description;
  return base64Encode(new TextEncoder().encode(JSON.stringify({ type, sdp })));
}

/**
 * Decodes the `sdp` field of signaling messages.
 *
 * @throws ConnectError `InvalidArgument` when it is invalid, or not of the type `expected`
 */
export function decodeSessionDescription(
  encoded: string,
  expected: SessionDescription["type"],
): SessionDescription {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(base64Decode(encoded)));
  } catch (error) {
    const message = "the session description is not base64 of JSON";
    throw new ConnectError(message, Code.InvalidArgument, undefined, undefined, error);
  }
  const { type, sdp } = (value ?? {}) as { type?: unknown; sdp?: unknown };
  // Go takes the type in any letter case.
  if (typeof type !== "string" || type.toLowerCase() !== expected || typeof sdp !== "string" || sdp === "") {
    throw new ConnectError(`the session description is not an ${expected}`, Code.InvalidArgument);
  }
  return { type: expected, sdp };
}

/**
 * Returns the id of the first media line, to which a candidate without one belongs (protocol §3.5); "0" if there is
 * none.
 */
export function firstMediaId(sdp: string): string {
  return /^a=mid:(\S+)/m.exec(sdp)?.[1] ?? "0";
}

/** Returns the password that signs checks to the description's author (RFC 8839 §5.4); undefined if there is none. */
export function icePassword(sdp: string): string | undefined {
  return /^a=ice-pwd:(\S+)/m.exec(sdp)?.[1];
}

/** Removes the candidates from a description: they are also sent one by one. */
export function withoutCandidates(sdp: string): string {
  return sdp.replace(/^a=(?:candidate:[^\r\n]*|end-of-candidates)\r?\n/gm, "");
}

/** Returns the candidates of a description, without their `a=`. */
export function candidatesOf(sdp: string): string[] {
  return Array.from(sdp.matchAll(/^a=(candidate:[^\r\n]*)/gm), (match) => match[1]!);
}

/** The attribute `tool` (RFC 8866, section 6.4) of this library. */
const TOOL = "a=tool:viam-dial";

/** Names this library as the tool that made a description. */
export function withTool(sdp: string): string {
  return sdp.replace(/^m=/m, `${TOOL}\r\nm=`);
}

/** True if this library made a description, and named itself. */
export function isByThisLibrary(sdp: string): boolean {
  return sdp.split(/\r?\n/).includes(TOOL);
}

/** True if libdatachannel, the engine of node-datachannel, wrote a description: it signs as `rtc`. */
export function isLibdatachannel(sdp: string): boolean {
  return /^o=rtc /m.test(sdp);
}
