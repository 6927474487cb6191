import { MAX_FRAME_BYTES } from "../core/limits.ts";
import { MIN_WINDOW_BYTES, SendWindow } from "../core/channel/send_window.ts";
import { ENGINE_SEND_BYTES, type Peer } from "./peer.ts";

/** Writes frames to a peer's channel 0 as long as there is room. */
export interface FrameWriter {
  /** Writes waiting frames as long as there is room. Returns false when some are left. */
  flush(): boolean;
}

/**
 * Moves frames from a queue to a peer. Called again when frames are queued, and when the channel says that its
 * buffer has drained.
 *
 * @param next The next frame, or undefined when there is none.
 * @param refused Called when the channel takes no more frames, which means that it is closing.
 */
export function createFrameWriter(
  peer: Peer,
  next: (into: Uint8Array) => Uint8Array | undefined,
  refused: () => void,
): FrameWriter {
  const window = new SendWindow(ENGINE_SEND_BYTES);
  // The engine copies each frame, so one buffer serves all of them.
  const buffer = new Uint8Array(MAX_FRAME_BYTES);
  /** An upper bound of the bytes in the channel's buffer: those at the last look, and those written since. */
  let atMost = 0;
  return {
    flush(): boolean {
      for (;;) {
        // A look costs as much as sending a small frame; a few small frames never fill the smallest window.
        if (atMost > MIN_WINDOW_BYTES) {
          atMost = peer.bufferedAmount();
          if (atMost > 0) window.observe(performance.now(), atMost);
          if (atMost > window.limit) return false;
        }
        const frame = next(buffer);
        if (frame === undefined) return true;
        atMost += frame.length;
        window.wrote(frame.length);
        if (!peer.send(frame)) {
          refused();
          return true;
        }
      }
    },
  };
}
