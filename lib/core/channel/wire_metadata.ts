import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type {
  Metadata as WireMetadata,
  MetadataSchema,
} from "../../../proto/gen/proto/rpc/webrtc/v1/grpc_pb.ts";
import { byteString } from "../bytes.ts";
import { Metadata } from "../grpc/metadata.ts";
import { MAX_METADATA_ENTRIES } from "../limits.ts";

/*
 * Metadata on a data channel (protocol §4.7): lower-case names and lists of proto3 strings. `-bin` values travel as
 * base64 text, since a proto3 string cannot hold arbitrary bytes. Go passes raw text through, so a value that is not
 * base64 counts as the bytes themselves.
 */

/** Converts metadata for a frame. */
export function toWireMetadata(metadata: Metadata): MessageInitShape<typeof MetadataSchema> {
  const md: Record<string, { values: string[] }> = {};
  for (const [name, values] of metadata.lists()) md[name] = { values: values.map(fromByteString) };
  return { md };
}

/** Reads metadata from a frame. Leaves out what `Headers` cannot hold: an illegal name, a line break, too many entries. */
export function fromWireMetadata(wire: WireMetadata | undefined): Metadata {
  const metadata = new Metadata();
  if (wire === undefined) return metadata;
  let entries = 0;
  for (const [name, { values }] of Object.entries(wire.md)) {
    const binary = name.endsWith("-bin");
    for (const value of values) {
      if (++entries > MAX_METADATA_ENTRIES) return metadata;
      try {
        metadata.append(name, binary ? toBase64(value) : toByteString(value));
      } catch {
        // `Headers` refused it.
      }
    }
  }
  return metadata;
}

/** Converts a timeout for a frame: relative, in nanoseconds. */
export function durationOf(timeoutMs: number): { seconds: bigint; nanos: number } {
  const seconds = Math.trunc(timeoutMs / 1000);
  return { seconds: BigInt(seconds), nanos: Math.trunc((timeoutMs - seconds * 1000) * 1e6) };
}

/** Returns the milliseconds of a timeout from a frame; undefined for none, which Go writes as zero (protocol §4.8). */
export function millisecondsOf(timeout: Duration | undefined): number | undefined {
  if (timeout === undefined || (timeout.seconds === 0n && timeout.nanos === 0)) return undefined;
  return Number(timeout.seconds) * 1000 + timeout.nanos / 1e6;
}

const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

function toBase64(value: string): string {
  if (base64.test(value) && value.replace(/=+$/, "").length % 4 !== 1) return value;
  return btoa(toByteString(value));
}

// deno-lint-ignore no-control-regex
const ascii = /^[\x00-\x7f]*$/;
const utf8 = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/**
 * Converts text for `Headers`, which hold one byte a character: UTF-8 text appears there as its bytes, as it would over
 * HTTP.
 */
function toByteString(text: string): string {
  return ascii.test(text) ? text : byteString(encoder.encode(text));
}

function fromByteString(value: string): string {
  if (ascii.test(value)) return value;
  const bytes = Uint8Array.from(value, (character) => character.charCodeAt(0));
  try {
    return utf8.decode(bytes);
  } catch {
    return value;
  }
}
