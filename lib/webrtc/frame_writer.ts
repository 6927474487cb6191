import { SendWindow } from "../core/send_window.ts";
import { ENGINE_SEND_BYTES, type Peer } from "./peer.ts";

/** Writes frames to a peer's channel 0 as long as there is room. */
export interface FrameWriter {
  /** Writes what there is and room allows. Returns false when something is left for later. */
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
  next: () => Uint8Array | undefined,
  refused: () => void,
): FrameWriter {
  const window = new SendWindow(ENGINE_SEND_BYTES);
  return {
    flush(): boolean {
      for (;;) {
        const buffered = peer.bufferedAmount();
        if (buffered > 0) {
          window.observe(performance.now(), buffered);
          if (buffered > window.limit) return false;
        }
        const frame = next();
        if (frame === undefined) return true;
        window.wrote(frame.length);
        if (!peer.send(frame)) {
          refused();
          return true;
        }
      }
    },
  };
}
