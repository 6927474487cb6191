import { FRAME_HEADER_BYTES, type FrameRule, Http2FrameFilter, type Http2Side } from "./frame_filter.ts";

const GOAWAY = 0x07;

/** Size of the last stream id and of the error code, in bytes. */
const FIXED_BYTES = 8;

/** Told of a GOAWAY. No stream above the last stream id has been or will be handled. */
export type GoawayListener = (lastStreamId: number, code: number, debugData: Uint8Array) => void;

/** Removes GOAWAY frames (RFC 9113, section 6.8). */
export function withoutGoaway(onGoaway: GoawayListener = () => {}): FrameRule {
  return {
    wants: (type) => type === GOAWAY,
    replace({ bytes }) {
      if (bytes.length >= FRAME_HEADER_BYTES + FIXED_BYTES) {
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        onGoaway(
          view.getUint32(FRAME_HEADER_BYTES) & 0x7fffffff,
          view.getUint32(FRAME_HEADER_BYTES + 4),
          bytes.subarray(FRAME_HEADER_BYTES + FIXED_BYTES),
        );
      }
      return [];
    },
  };
}

/** Removes GOAWAY frames from what one side of an HTTP/2 connection sends, and nothing else. */
export function goawayFilter(from: Http2Side, onGoaway?: GoawayListener): Http2FrameFilter {
  return new Http2FrameFilter(from, withoutGoaway(onGoaway));
}
