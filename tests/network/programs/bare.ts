/** One end of a bare data channel: what the engine can do, without any protocol above it. */

import { createSocket } from "node:dgram";
import library from "node-datachannel";
import { answerCommands, startedWith } from "./answer.ts";

const FRAME = new Uint8Array(60_000);

const { sendBufferSize } = startedWith() as { sendBufferSize: number };
library.setSctpSettings({ sendBufferSize });
const connection = new library.PeerConnection("bare", { iceServers: [], disableAutoNegotiation: true });
const described = Promise.withResolvers<string>();
const open = Promise.withResolvers<void>();
connection.onStateChange(() => {});
connection.onGatheringStateChange((state) => {
  if (state === "complete") described.resolve(connection.localDescription()!.sdp);
});
const data = connection.createDataChannel("data", { negotiated: true, id: 0 });
data.onOpen(() => open.resolve());
data.onClosed(() => {});
data.onMessage(() => {});

await answerCommands(
  {
    offer() {
      connection.setLocalDescription("offer");
      return described.promise;
    },
    answer({ offer }: { offer: string }) {
      connection.setRemoteDescription(offer, "offer");
      connection.setLocalDescription("answer");
      return described.promise;
    },
    accept({ answer }: { answer: string }) {
      connection.setRemoteDescription(answer, "answer");
      return open.promise;
    },
    /** Keeps the engine's buffer full for some time. */
    async send({ forMs }: { forMs: number }) {
      const end = performance.now() + forMs;
      while (performance.now() < end) {
        while (data.bufferedAmount() < 262_144) data.sendMessageBinary(FRAME);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    /** Sends datagrams of a packet's size, as many as there is room for. */
    async flood({ address, forMs }: { address: string; forMs: number }) {
      const socket = createSocket("udp4"), datagram = new Uint8Array(1_172);
      const end = performance.now() + forMs;
      while (performance.now() < end) {
        await new Promise((resolve) => socket.send(datagram, 9, address, resolve));
      }
      socket.close();
    },
  },
  "ready",
  () => {
    data.close();
    connection.close();
    return Promise.resolve();
  },
);
