import { createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { dial, type ViamChannel } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { bareHttp2, barePair, handFramedFetch, rawFrames } from "./floors.ts";
import type { Subject, SubjectMaker, Target } from "./subject.ts";

/** Every subject that runs on Deno and Bun, by name. */
export const makers: Record<string, SubjectMaker> = {
  "direct": { open: (target) => dialed(target, true) },
  "webrtc": { open: (target) => dialed(target, false) },
  "connect-node": {
    open: ({ address, ca }) => {
      const transport = createGrpcTransport({
        baseUrl: `${ca === undefined ? "http" : "https"}://${address}`,
        ...(ca === undefined ? {} : { nodeOptions: { ca } }),
      });
      return Promise.resolve(overTransport(transport, () => Promise.resolve()));
    },
  },
  "hand-framed fetch": { open: (target) => handFramedFetch(target, 1) },
  "hand-framed fetch, HTTP/2": { open: (target) => handFramedFetch(target, 2) },
  "bare node:http2": { open: bareHttp2 },
  "raw frames": { open: ({ address }) => rawFrames(address) },
  "bare handshake": { open: barePair },
};

async function dialed(target: Target, disableWebrtc: boolean): Promise<Subject> {
  const { address, ca, apiKey, apiKeyId, accessToken } = target;
  const channel: ViamChannel = await dial(address, {
    disableWebrtc,
    ...(ca === undefined ? { insecure: true } : { tls: { ca } }),
    ...(apiKey === undefined || apiKeyId === undefined
      ? {}
      : { credentials: { type: "api-key", payload: apiKey }, authEntity: apiKeyId }),
    ...(accessToken === undefined ? {} : { accessToken }),
  });
  return overTransport(channel, () => channel.close());
}

function overTransport(transport: Transport, close: () => Promise<void>): Subject {
  const probe = createClient(ProbeService, transport);
  return {
    async unary(data) {
      await probe.echo({ data });
    },
    async download(size, count) {
      let received = 0;
      for await (const payload of probe.download({ size, count })) received += payload.data.length;
      expect(received, size * count);
    },
    async upload(data, count) {
      const { bytes } = await probe.upload(repeated(data, count));
      expect(Number(bytes), data.length * count);
    },
    async exchange(data, count) {
      let received = 0;
      for await (const payload of probe.exchange(repeated(data, count))) received += payload.data.length;
      expect(received, data.length * count);
    },
    close,
  };
}

async function* repeated(data: Uint8Array, count: number): AsyncIterable<{ data: Uint8Array }> {
  for (let n = 0; n < count; n++) yield { data };
}

function expect(actual: number, expected: number): void {
  if (actual !== expected) throw new Error(`${actual} bytes instead of ${expected}`);
}
