/** A machine whose side of channel 0 a test writes frame by frame, behind real signaling and the real engine. */

import { createAnswerer } from "../../lib/testing/answerer.ts";
import { startCloudAnswerer } from "../../lib/testing/cloud_answerer.ts";
import { startMachine } from "../../lib/testing/mod.ts";
import type { Peer } from "../../lib/webrtc/peer.ts";
import type { Request } from "../../proto/gen/proto/rpc/webrtc/v1/grpc_pb.ts";
import { readRequest } from "./raw_frames.ts";

/** Channel 0 of one caller, from the machine's side. */
export interface RawChannel {
  /** Writes a frame, whatever is in it; waits while there is much to send. */
  send(frame: Uint8Array): Promise<void>;
  /** Every frame that the caller has sent. */
  readonly received: readonly Request[];
  /** The machine's end of the connection. */
  readonly peer: Peer;
}

/** A machine that does as a test says. */
export interface RawMachine extends AsyncDisposable {
  /** The address to dial, over cleartext. */
  readonly address: string;
  /** Channels so far; a dial that takes its time may open more than one. */
  readonly channels: readonly RawChannel[];
  /** Every frame of one stream, whichever channel it came on. */
  framesOf(stream: number): Request[];
}

const HIGH_MARK_BYTES = 1_048_576;

/**
 * Starts one.
 *
 * @param onFrame Told of every frame that a caller sends.
 */
export async function startRawMachine(
  onFrame: (frame: Request, channel: RawChannel) => void,
): Promise<RawMachine> {
  const signaling = await startMachine({ auth: "none", webrtc: "signaling-only" });
  const channels: RawChannel[] = [];
  const answerer = createAnswerer({
    serve(peer) {
      let room = Promise.withResolvers<void>();
      let lost = false;
      const received: Request[] = [];
      const channel: RawChannel = {
        received,
        peer,
        async send(frame) {
          while (peer.bufferedAmount() > HIGH_MARK_BYTES && !lost) await room.promise;
          peer.send(frame);
        },
      };
      channels.push(channel);
      const wake = () => {
        room.resolve();
        room = Promise.withResolvers();
      };
      return {
        receive(bytes) {
          const frame = readRequest(bytes);
          received.push(frame);
          onFrame(frame, channel);
        },
        writable: wake,
        fail() {
          lost = true;
          wake();
        },
      };
    },
  });
  const stopAnswering = startCloudAnswerer(
    { address: signaling.url, hosts: [signaling.address] },
    () => answerer,
  );
  return {
    address: signaling.address,
    channels,
    framesOf: (stream) =>
      channels.flatMap(({ received }) => received.filter((frame) => Number(frame.stream?.id) === stream)),
    async [Symbol.asyncDispose]() {
      await stopAnswering();
      await answerer.close();
      await signaling.close();
    },
  };
}
