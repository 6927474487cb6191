import type { PeerListener } from "../../lib/webrtc/peer.ts";

/** Listens to nothing but what `own` has. */
export function listener(own: Partial<PeerListener>): PeerListener {
  return {
    localDescription() {},
    localCandidate() {},
    gatheringComplete() {},
    state() {},
    open() {},
    closed() {},
    frame() {},
    writable() {},
    failed() {},
    ...own,
  };
}
