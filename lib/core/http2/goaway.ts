import { FRAME_HEADER_BYTES, Http2FrameFilter, type Http2Side } from "./frame_filter.ts";

const GOAWAY = 0x07;

/** Size of the last stream id and of the error code, in bytes. */
const FIXED_BYTES = 8;

/**
 * Removes GOAWAY frames from what one side of an HTTP/2 connection sends (RFC 9113, section 6.8).
 *
 * @param from The sender.
 * @param onGoaway Called for each removed frame. No stream above the last stream id has been or will be handled.
 */
export function goawayFilter(
  from: Http2Side,
  onGoaway: (lastStreamId: number, code: number, debugData: Uint8Array) => void = () => {},
): Http2FrameFilter {
  return new Http2FrameFilter(from, GOAWAY, ({ bytes }) => {
    if (bytes.length >= FRAME_HEADER_BYTES + FIXED_BYTES) {
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      onGoaway(
        view.getUint32(FRAME_HEADER_BYTES) & 0x7fffffff,
        view.getUint32(FRAME_HEADER_BYTES + 4),
        bytes.subarray(FRAME_HEADER_BYTES + FIXED_BYTES),
      );
    }
    return [];
  });
}
