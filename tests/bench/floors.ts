import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import library from "node-datachannel";
import { encodeRequestHeaders, encodeRequestPacket } from "../../lib/core/packet.ts";
import { Metadata } from "../../lib/core/metadata.ts";
import { dialDirect } from "../../mod.ts";
import { startExchange } from "../../lib/webrtc/signaling_client.ts";
import { ResponseSchema } from "../../proto/gen/proto/rpc/webrtc/v1/grpc_pb.ts";
import { PayloadSchema } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import type { Subject } from "./subject.ts";

/*
 * The floors: what the network and the runtime cost without any library of ours above `fetch` or above the data
 * channel. They make the same call and check nothing that a benchmark does not need.
 */

const ECHO = "/viam_dial.probe.v1.ProbeService/Echo";

/** gRPC-Web by hand: one frame out, the body read whole. */
export function handFramedFetch(address: string): Promise<Subject> {
  const message = toBinary(PayloadSchema, create(PayloadSchema, { data: new Uint8Array(64) }));
  const frame = new Uint8Array(5 + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, 5);
  const headers = { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" };
  return Promise.resolve({
    async unary() {
      const response = await fetch(`http://${address}${ECHO}`, { method: "POST", headers, body: frame });
      const body = new Uint8Array(await response.arrayBuffer());
      const length = new DataView(body.buffer).getUint32(1);
      fromBinary(PayloadSchema, body.subarray(5, 5 + length));
    },
    close: () => Promise.resolve(),
  });
}

/** Frames on a bare data channel; answers are taken by stream id. */
export async function rawFrames(address: string): Promise<Subject> {
  const signaling = await dialDirect(address, { insecure: true });
  const connection = new library.PeerConnection("floor", { iceServers: [], disableAutoNegotiation: true });
  const negotiation = connection.createDataChannel("negotiation", { negotiated: true, id: 1 });
  const data = connection.createDataChannel("data", { negotiated: true, id: 0 });
  const closed = Promise.withResolvers<void>();
  connection.onStateChange((state) => {
    if (state === "closed") closed.resolve();
  });
  for (const channel of [data, negotiation]) {
    channel.onClosed(() => {});
    channel.onError(() => {});
  }
  const exchange = startExchange(
    signaling,
    address,
    {
      accept: (answer) => connection.setRemoteDescription(answer, "answer"),
      addCandidate: (candidate, mid) => connection.addRemoteCandidate(candidate, mid),
    },
    () => {},
  );
  connection.onLocalCandidate((candidate, mid) => {
    exchange.handle({ kind: "localCandidate", candidate: candidate.replace(/^a=/, ""), mid });
  });
  connection.onLocalDescription((sdp) => exchange.handle({ kind: "offer", sdp }));
  data.onOpen(() => exchange.handle({ kind: "channelOpen" }));
  const pending = new Map<number, () => void>();
  data.onMessage((frame) => {
    const bytes = frame instanceof ArrayBuffer ? new Uint8Array(frame) : frame as Uint8Array;
    const response = fromBinary(ResponseSchema, bytes);
    const id = Number(response.stream!.id);
    if (response.type.case === "message") fromBinary(PayloadSchema, response.type.value.packetMessage!.data);
    else if (response.type.case === "trailers") {
      pending.get(id)?.();
      pending.delete(id);
    }
  });
  connection.setLocalDescription("offer");
  await exchange.connected;
  await exchange.settled;
  await signaling.close();
  const message = toBinary(PayloadSchema, create(PayloadSchema, { data: new Uint8Array(64) }));
  const metadata = new Metadata();
  let last = 0;
  return {
    unary() {
      const id = ++last;
      return new Promise((resolve) => {
        pending.set(id, resolve);
        data.sendMessageBinary(encodeRequestHeaders(id, ECHO, metadata, undefined));
        data.sendMessageBinary(encodeRequestPacket(id, message, true, true));
      });
    },
    async close() {
      data.close();
      negotiation.close();
      connection.close();
      await closed.promise;
    },
  };
}
