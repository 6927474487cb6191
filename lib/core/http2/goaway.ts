import { FRAME_HEADER_BYTES, Http2FrameFilter, type Http2Side } from "./frame_filter.ts";

const GOAWAY = 0x07;

/**
 * Removes GOAWAY frames from what one side of an HTTP/2 connection sends (RFC 9113, section 6.8).
 *
 * @param from The sender.
 * @param onGoaway Called with the last stream id of each removed frame: no stream above it has been or will be handled.
 */
export function goawayFilter(
  from: Http2Side,
  onGoaway: (lastStreamId: number) => void = () => {},
): Http2FrameFilter {
  return new Http2FrameFilter(from, GOAWAY, ({ bytes }) => {
    if (bytes.length >= FRAME_HEADER_BYTES + 4) {
      onGoaway(new DataView(bytes.buffer, bytes.byteOffset).getUint32(FRAME_HEADER_BYTES) & 0x7fffffff);
    }
    return [];
  });
}
