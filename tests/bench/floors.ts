import { once } from "node:events";
import { connect } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import library, { type DataChannel, type PeerConnection } from "node-datachannel";
import { concatenate } from "../../lib/core/bytes.ts";
import { MAX_PACKET_BYTES } from "../../lib/core/limits.ts";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { encodeHalfClose, encodeRequestHeaders, encodeRequestPacket } from "../../lib/core/channel/packet.ts";
import { startExchange } from "../../lib/webrtc/signaling_client.ts";
import { dialDirect } from "../../mod.ts";
import { ResponseSchema } from "../../proto/gen/proto/rpc/webrtc/v1/grpc_pb.ts";
import { DownloadRequestSchema, PayloadSchema } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import type { Subject, Target } from "./subject.ts";

/*
 * The floors: the cost of the network and the runtime without any library above `fetch` or above the data channel. They
 * make the same calls, and check only what a benchmark needs.
 */

const SERVICE = "/viam_dial.probe.v1.ProbeService";

function payload(data: Uint8Array): Uint8Array {
  return toBinary(PayloadSchema, create(PayloadSchema, { data }));
}

/** gRPC-Web by hand: one frame out, and the body read as it comes. */
export function handFramedFetch({ address, ca }: Target, version: 1 | 2): Promise<Subject> {
  const origin = `${ca === undefined ? "http" : "https"}://${address}`;
  const headers = { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" };
  const settings: Record<string, unknown> = {};
  if ("Deno" in globalThis) {
    if (version === 2 || ca !== undefined) {
      settings["client"] = Deno.createHttpClient({
        http1: version === 1,
        http2: version === 2,
        ...(ca === undefined ? {} : { caCerts: [ca] }),
      });
    }
  } else {
    if (ca !== undefined) settings["tls"] = { ca };
    if (version === 2) {
      if (ca === undefined) throw new Error("Bun's fetch has no HTTP/2 in the clear");
      settings["protocol"] = "http2";
    }
  }
  function post(method: string, message: Uint8Array): Promise<Response> {
    const frame = new Uint8Array(5 + message.length);
    new DataView(frame.buffer).setUint32(1, message.length);
    frame.set(message, 5);
    return fetch(`${origin}${SERVICE}/${method}`, { method: "POST", headers, body: frame, ...settings });
  }
  return Promise.resolve({
    async unary(data) {
      const response = await post("Echo", payload(data));
      const body = new Uint8Array(await response.arrayBuffer());
      const length = new DataView(body.buffer).getUint32(1);
      fromBinary(PayloadSchema, body.subarray(5, 5 + length));
    },
    async download(size, count) {
      const request = toBinary(DownloadRequestSchema, create(DownloadRequestSchema, { size, count }));
      const response = await post("Download", request);
      let received = 0;
      for await (const chunk of response.body!) received += chunk.length;
      if (received < size * count) throw new Error(`${received} bytes instead of ${size * count}`);
    },
    close: () => Promise.resolve(),
  });
}

/** Native gRPC by hand, over a session of node:http2 on a socket of its own. */
export async function bareHttp2({ address, ca }: Target): Promise<Subject> {
  const session = connect(
    `${ca === undefined ? "http" : "https"}://${address}`,
    ca === undefined ? {} : { ca },
  );
  await once(session, "connect");
  const headers = { ":method": "POST", "content-type": "application/grpc+proto", "te": "trailers" };
  return {
    unary: (data) =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ...headers, ":path": `${SERVICE}/Echo` });
        let answer: Uint8Array = new Uint8Array(0);
        stream.on("data", (chunk: Uint8Array) => {
          answer = answer.length === 0 ? chunk : concatenate([answer, chunk]);
        });
        stream.on("error", reject);
        stream.on("end", () => {
          if (answer.length < 5) return reject(new Error("no message"));
          fromBinary(PayloadSchema, answer.subarray(5));
          resolve();
        });
        const message = payload(data), frame = new Uint8Array(5 + message.length);
        new DataView(frame.buffer).setUint32(1, message.length);
        frame.set(message, 5);
        stream.end(frame);
      }),
    close: () => {
      session.destroy();
      return Promise.resolve();
    },
  };
}

/** Most bytes in the channel's buffer, as in goutils, and the level at which sending goes on. */
const HIGH_MARK_BYTES = 1_048_576;
const LOW_MARK_BYTES = 262_144;

/** Frames on a bare data channel; answers are assigned by stream id. */
export async function rawFrames(address: string): Promise<Subject> {
  const signaling = await dialDirect(address, { insecure: true });
  const connection = new library.PeerConnection("floor", { iceServers: [], disableAutoNegotiation: true });
  const { data, close } = channelsOf(connection);
  const exchange = startExchange(
    signaling,
    address,
    {
      accept: (answer) => connection.setRemoteDescription(answer, "answer"),
      addCandidate: (candidate, mid) => offer(connection, candidate, mid),
    },
    () => {},
  );
  connection.onLocalCandidate((candidate, mid) => {
    exchange.handle({ kind: "localCandidate", candidate: candidate.replace(/^a=/, ""), mid });
  });
  connection.onLocalDescription((sdp) => exchange.handle({ kind: "offer", sdp }));
  data.onOpen(() => exchange.handle({ kind: "channelOpen" }));
  let room = Promise.withResolvers<void>();
  data.setBufferedAmountLowThreshold(LOW_MARK_BYTES);
  data.onBufferedAmountLow(() => {
    room.resolve();
    room = Promise.withResolvers();
  });

  /** Waits for the end of each stream; of a unary call it also reads the message. */
  const pending = new Map<number, { resolve: () => void; read: boolean }>();
  data.onMessage((message) => {
    const frame = message instanceof ArrayBuffer ? new Uint8Array(message) : message as Uint8Array;
    const id = streamOf(frame);
    const call = pending.get(id);
    if (call === undefined) return;
    const tag = frame[2 + frame[1]!];
    if (tag === TRAILERS) {
      pending.delete(id);
      call.resolve();
    } else if (tag === MESSAGE && call.read) {
      const { type } = fromBinary(ResponseSchema, frame);
      if (type.case === "message") fromBinary(PayloadSchema, type.value.packetMessage!.data);
    }
  });
  connection.setLocalDescription("offer");
  await exchange.connected;
  await exchange.settled;
  await signaling.close();

  const metadata = new Metadata();
  let last = 0;
  function open(method: string, read: boolean): { id: number; ended: Promise<void> } {
    const id = ++last;
    const ended = new Promise<void>((resolve) => pending.set(id, { resolve, read }));
    data.sendMessageBinary(encodeRequestHeaders(id, `${SERVICE}/${method}`, metadata, undefined));
    return { id, ended };
  }

  async function sendAll(id: number, message: Uint8Array, count: number): Promise<void> {
    let written = 0;
    for (let n = 0; n < count; n++) {
      for (let at = 0; at < message.length; at += MAX_PACKET_BYTES) {
        const slice = message.subarray(at, at + MAX_PACKET_BYTES);
        const frame = encodeRequestPacket(id, slice, at + MAX_PACKET_BYTES >= message.length, false);
        data.sendMessageBinary(frame);
        written += frame.length;
        if (written < LOW_MARK_BYTES) continue;
        written = 0;
        while (data.bufferedAmount() > HIGH_MARK_BYTES) await room.promise;
      }
    }
    data.sendMessageBinary(encodeHalfClose(id));
  }

  return {
    async unary(bytes) {
      const { id, ended } = open("Echo", true);
      const message = payload(bytes);
      if (message.length <= MAX_PACKET_BYTES) {
        data.sendMessageBinary(encodeRequestPacket(id, message, true, true));
      } else await sendAll(id, message, 1);
      await ended;
    },
    async download(size, count) {
      const { id, ended } = open("Download", false);
      const request = toBinary(DownloadRequestSchema, create(DownloadRequestSchema, { size, count }));
      data.sendMessageBinary(encodeRequestPacket(id, request, true, true));
      await ended;
    },
    async upload(bytes, count) {
      const { id, ended } = open("Upload", false);
      await sendAll(id, payload(bytes), count);
      await ended;
    },
    async exchange(bytes, count) {
      const { id, ended } = open("Exchange", false);
      await sendAll(id, payload(bytes), count);
      await ended;
    },
    close,
  };
}

const MESSAGE = 0x1a;
const TRAILERS = 0x22;

/** The id in `Response.stream`, which peers write first: 0a, length, 08, id. */
function streamOf(frame: Uint8Array): number {
  let id = 0;
  for (let at = 3, shift = 1; at < 2 + frame[1]!; at++, shift *= 128) id += (frame[at]! & 0x7f) * shift;
  return id;
}

interface Channels {
  readonly data: DataChannel;
  readonly close: () => Promise<void>;
}

/** The two channels of a Viam connection. */
function channelsOf(connection: PeerConnection): Channels {
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
  return {
    data,
    async close() {
      data.close();
      negotiation.close();
      connection.close();
      await closed.promise;
    },
  };
}

/** A handshake alone: two peer connections in this process that exchange descriptions and candidates. */
export async function barePair(): Promise<Subject> {
  const [caller, answerer] = ["caller", "answerer"].map((name) =>
    new library.PeerConnection(name, { iceServers: [], disableAutoNegotiation: true })
  ) as [PeerConnection, PeerConnection];
  const ends = [channelsOf(caller), channelsOf(answerer)];
  const opened = Promise.all(
    ends.map(({ data }) => new Promise<void>((resolve) => data.onOpen(resolve))),
  );
  const early: { candidate: string; mid: string }[] = [];
  let described = false;
  caller.onLocalDescription((sdp) => {
    // The answerer is the DTLS server: in the other role the engine drops most first ClientHellos, and sends the next a
    // second later.
    answerer.setRemoteDescription(sdp.replace("a=setup:actpass", "a=setup:active"), "offer");
    answerer.setLocalDescription("answer");
    described = true;
    for (const { candidate, mid } of early) offer(answerer, candidate, mid);
  });
  answerer.onLocalDescription((sdp) => {
    caller.setRemoteDescription(sdp, "answer");
    answered = true;
    for (const { candidate, mid } of late) offer(caller, candidate, mid);
  });
  const late: { candidate: string; mid: string }[] = [];
  let answered = false;
  caller.onLocalCandidate((candidate, mid) => {
    if (described) offer(answerer, candidate, mid);
    else early.push({ candidate, mid });
  });
  answerer.onLocalCandidate((candidate, mid) => {
    if (answered) offer(caller, candidate, mid);
    else late.push({ candidate, mid });
  });
  caller.setLocalDescription("offer");
  await opened;
  return { close: async () => void await Promise.all(ends.map(({ close }) => close())) };
}

/**
 * An exception that escapes into the engine ends the process; a pair that is already open refuses further candidates.
 */
function offer(connection: PeerConnection, candidate: string, mid: string): void {
  try {
    connection.addRemoteCandidate(candidate, mid);
  } catch {
    // The candidates before it were enough.
  }
}
