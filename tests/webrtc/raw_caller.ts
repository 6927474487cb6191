/** A caller whose side of channel 0 a test writes frame by frame, over real signaling and the real engine. */

import type { Transport } from "@connectrpc/connect";
import { loadEngine, type Peer } from "../../lib/webrtc/peer.ts";
import { startExchange } from "../../lib/webrtc/signaling_client.ts";
import { dialDirect } from "../../mod.ts";
import type { Response } from "../../proto/gen/proto/rpc/webrtc/v1/grpc_pb.ts";
import { readResponse } from "./raw_frames.ts";

/** Channel 0, from the caller's side. */
export interface RawCaller extends AsyncDisposable {
  /** Writes a frame, whatever is in it; waits while there is much to send. */
  send(frame: Uint8Array): Promise<void>;
  /** The next frame of a stream that no one has asked for yet. Rejects when the channel closes. */
  next(stream: number): Promise<Response>;
  /** Resolves when the machine has closed the channel. */
  readonly closed: Promise<void>;
  readonly peer: Peer;
}

const HIGH_MARK_BYTES = 1_048_576;

/** Connects to a machine that wants no credentials, through its own signaling. */
export async function connectRaw(address: string): Promise<RawCaller> {
  const signaling = await dialDirect(address, { insecure: true });
  const engine = await loadEngine();
  const open = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let isClosed = false;
  let room = Promise.withResolvers<void>();
  const wake = () => {
    room.resolve();
    room = Promise.withResolvers();
  };
  const frames: Response[] = [];
  let arrived = Promise.withResolvers<void>();
  const peer = engine.createPeer({ iceServers: [] }, {
    localDescription: (sdp, type) => {
      if (type === "offer") exchange.handle({ kind: "offer", sdp });
    },
    localCandidate: (candidate, mid) => exchange.handle({ kind: "localCandidate", candidate, mid }),
    gatheringComplete: () => exchange.handle({ kind: "gatheringComplete" }),
    state() {},
    open() {
      exchange.handle({ kind: "channelOpen" });
      open.resolve();
    },
    closed() {
      isClosed = true;
      closed.resolve();
      wake();
      arrived.resolve();
    },
    frame(bytes) {
      frames.push(readResponse(bytes));
      arrived.resolve();
      arrived = Promise.withResolvers();
    },
    writable: wake,
    failed: (error) => open.reject(error),
  });
  const exchange = startExchange(signaling as Transport, address, {
    accept: (answer) => peer.accept(answer),
    addCandidate: (candidate, mid) => void peer.addCandidate(candidate, mid),
  }, () => {});
  exchange.connected.catch(open.reject);
  const close = async () => {
    await peer.close();
    await exchange.settled;
    await signaling.close();
  };
  peer.offer();
  try {
    await open.promise;
  } catch (error) {
    await close();
    throw error;
  }
  return {
    peer,
    closed: closed.promise,
    async send(frame) {
      while (peer.bufferedAmount() > HIGH_MARK_BYTES && !isClosed) await room.promise;
      peer.send(frame);
    },
    async next(stream) {
      for (;;) {
        const index = frames.findIndex((frame) => Number(frame.stream?.id) === stream);
        if (index >= 0) return frames.splice(index, 1)[0]!;
        if (isClosed) throw new Error("the channel is closed");
        await arrived.promise;
      }
    },
    [Symbol.asyncDispose]: close,
  };
}
