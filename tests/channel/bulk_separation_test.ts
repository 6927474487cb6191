/** Calls of one channel on two connections, because bulk data fills the first. */

import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { separateBulk, type WatchedLink } from "../../lib/channel/bulk_separation.ts";
import type { BulkMemory } from "../../lib/core/channel/bulk_separation.ts";
import type { Loss } from "../../lib/channel/link.ts";
import type { CallListener } from "../../lib/rpc/carrier.ts";
import type { LifeSign } from "../../lib/rpc/life.ts";
import type { StreamKind } from "../../lib/core/grpc/stream_kind.ts";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { QUESTION_METHOD } from "../../lib/core/channel/question.ts";
import { dial, type ViamChannel } from "../../mod.ts";
import { PayloadSchema, ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { until } from "../calls/lanes.ts";
import { test } from "../harness.ts";
import { type RawChannel, startRawMachine } from "../webrtc/raw_answerer.ts";
import { answer } from "../webrtc/raw_frames.ts";

const LOST: Loss = { error: new ConnectError("gone", Code.Unavailable), byMachine: false };

/** A link that the test controls, on which the messages of bulk data stand in front of every answer. */
function scriptedLink(kind: "host" | "relay" = "host") {
  const lost = Promise.withResolvers<Loss>();
  const done: string[] = [];
  const calls = new Map<string, CallListener>();
  let tell: (sign: LifeSign) => void = () => {};
  let received = 0;
  const link: WatchedLink = {
    kind: "webrtc",
    carrier: {
      open({ path }, listener) {
        calls.set(path, listener);
        return {
          send: () => undefined,
          halfClose() {},
          reset() {},
          pause() {},
          resume() {},
        };
      },
      close: () => Promise.resolve(),
    },
    authorization: undefined,
    baseUrl: "https://robot",
    lost: lost.promise,
    life: {
      get calls() {
        return calls.size;
      },
      listen: (listener) => tell = listener,
      doubt: () => done.push("doubted"),
      ask: () => done.push("asked"),
      replace: () => done.push("replaced"),
    },
    path: () => ({ kind, protocol: "webrtc", local: undefined, remote: undefined, roundTripMs: undefined }),
    wire() {
      const bytes = calls.has("/bulk") ? 65_536 : 0;
      if (bytes > 0) calls.get("/bulk")!.message(new Uint8Array(bytes));
      received += bytes;
      const sending = {
        windowBytes: 0,
        bytesPerSecond: undefined,
        roundTripMs: undefined,
        queueMs: undefined,
      };
      return { bytesSent: 0, bytesReceived: received, bufferedBytes: 0, roundTripMs: undefined, sending };
    },
    isSteered: () => false,
    close() {
      done.push("closed");
      return Promise.resolve();
    },
  };
  return {
    link,
    done,
    calls,
    lose: () => lost.resolve(LOST),
    say: (sign: LifeSign) => tell(sign),
    end(path: string) {
      calls.delete(path);
      tell("idle");
    },
  };
}

/** Divides a link that bulk data fills; the clock runs a quarter of a second each millisecond or so. */
function divide(
  first: ReturnType<typeof scriptedLink>,
  memory: BulkMemory = { answers: true, methods: new Set(), fullAt: -Infinity },
) {
  const attempts: (PromiseWithResolvers<WatchedLink> & { readonly signal: AbortSignal })[] = [];
  const signs: LifeSign[] = [];
  let now = 0;
  const link = separateBulk(first.link, {
    log() {},
    signal: undefined,
    memory,
    clock: { now: () => now += 250, lookMs: 1 },
    connect(signal) {
      const attempt = { ...Promise.withResolvers<WatchedLink>(), signal };
      signal.addEventListener("abort", () => attempt.reject(signal.reason));
      attempts.push(attempt);
      return attempt.promise;
    },
  });
  link.life!.listen((sign) => signs.push(sign));
  const call = (path: string, urgent = false, kind: StreamKind = "unary") =>
    link.carrier.open(
      { path, kind, metadata: new Metadata(), timeoutMs: undefined, urgent },
      { headers() {}, message() {}, end() {} },
    );
  call("/bulk");
  call("/small");
  return { link, attempts, signs, call };
}

test("separateBulk() sends new calls to another link, except those of bulk data", async () => {
  const first = scriptedLink(), second = scriptedLink();
  const { link, attempts, signs, call } = divide(first);
  assert.equal(link.bulkWire!(), undefined);
  await until(() => attempts.length === 1);
  // Calls wait for it.
  assert.deepEqual(signs, ["doubted"]);
  attempts[0]!.resolve(second.link);
  await until(() => link.bulkWire!() !== undefined);
  assert.deepEqual(signs, ["doubted", "alive"]);
  first.calls.delete("/bulk");
  for (const path of ["/small", "/bulk", "/other"]) call(path);
  assert.deepEqual([[...first.calls.keys()], [...second.calls.keys()]], [["/small", "/bulk"], [
    "/small",
    "/other",
  ]]);
  call("/bulk", true);
  assert.ok(second.calls.has("/bulk"));
  assert.equal(link.life!.calls, 5);
  await link.close();
  assert.deepEqual([first.done.at(-1), second.done.at(-1)], ["closed", "closed"]);
});

test("separateBulk() closes the link of bulk data when it has had no calls for long", async () => {
  const first = scriptedLink(), second = scriptedLink();
  const { link, attempts, signs } = divide(first);
  await until(() => attempts.length === 1);
  attempts[0]!.resolve(second.link);
  await until(() => link.bulkWire!() !== undefined);
  first.end("/bulk");
  first.end("/small");
  assert.equal(signs.at(-1), "idle");
  await until(() => first.done.at(-1) === "closed");
  assert.equal(link.bulkWire!(), undefined);
  await link.close();
});

test("separateBulk() lets calls go when a link that is not doubted takes the place of one that is", async () => {
  const first = scriptedLink(), second = scriptedLink();
  const { link, attempts, signs, call } = divide(first);
  await until(() => attempts.length === 1);
  attempts[0]!.resolve(second.link);
  await until(() => link.bulkWire!() !== undefined);
  first.end("/bulk");
  first.end("/small");
  second.say("doubted");
  // Bulk data of a method that has not been seen fills the second one, too.
  second.calls.set("/bulk", { headers() {}, message() {}, end() {} });
  await until(() => signs.at(-1) === "alive");
  call("/other");
  assert.ok(first.calls.has("/other"));
  await link.close();
});

test("separateBulk() lets calls go though the calls that they waited beside are over", async () => {
  const first = scriptedLink();
  const { link, attempts, signs, call } = divide(first);
  first.calls.delete("/bulk");
  call("/stream", false, "server_streaming");
  first.calls.get("/stream")!.headers(() => new Metadata());
  await until(() => signs.at(-1) === "doubted");
  first.end("/stream");
  first.end("/small");
  await until(() => signs.at(-1) === "alive");
  assert.deepEqual(attempts, []);
  // Nor does one that another has replaced look at its calls.
  call("/stream", false, "server_streaming");
  link.life!.replace();
  const { length } = first.done;
  first.calls.get("/stream")!.headers(() => new Metadata());
  assert.equal(first.done.length, length);
  await link.close();
});

test("separateBulk() is lost with the last of its links", async () => {
  const first = scriptedLink(), second = scriptedLink();
  const { link, attempts, signs } = divide(first);
  await until(() => attempts.length === 1);
  attempts[0]!.resolve(second.link);
  await until(() => link.bulkWire!() !== undefined);
  // Or it would soon be divided again.
  first.calls.delete("/bulk");
  second.lose();
  await until(() => second.done.includes("closed"));
  // Whether the network is gone shows the other one.
  assert.ok(first.done.includes("doubted"));
  first.say("doubted");
  first.say("suspected");
  first.lose();
  assert.equal(await link.lost, LOST);
  assert.deepEqual(signs.slice(-2), ["doubted", "suspected"]);
  await link.close();
});

test("separateBulk() goes on with a link whose attempt fails, or would lead through a relay", async () => {
  for (const outcome of [scriptedLink("relay"), new Error("no way")]) {
    const first = scriptedLink();
    const { link, attempts, signs, call } = divide(first);
    await until(() => attempts.length === 1);
    first.say("suspected");
    // One that is careful may take longer than those of a reconnect, which begin beside it.
    assert.equal(signs.at(-1), "suspected");
    if (outcome instanceof Error) attempts[0]!.reject(outcome);
    else attempts[0]!.resolve(outcome.link);
    await until(() => signs.at(-1) === "suspected");
    if (!(outcome instanceof Error)) assert.deepEqual(outcome.done, ["closed"]);
    call("/other");
    assert.ok(first.calls.has("/other"));
    await link.close();
  }
});

test("separateBulk() gives an attempt up when the link is closed, lost or replaced", async () => {
  for (const way of ["closed", "lost", "replaced"]) {
    const first = scriptedLink();
    const { link, attempts } = divide(first);
    await until(() => attempts.length === 1);
    if (way === "closed") void link.close();
    else if (way === "lost") first.lose();
    else link.life!.replace();
    await until(() => attempts[0]!.signal.aborted);
    await link.close();
    assert.equal(attempts.length, 1);
  }
});

/** The messages of a download, as large as a camera's images. */
const image = toBinary(PayloadSchema, create(PayloadSchema, { data: new Uint8Array(30_000) }));

/** A machine that puts what it answers behind what it streams, without end. */
async function startFullMachine() {
  const full = new Map<RawChannel, (() => void)[]>();
  /** The channel of the last call of a method. */
  const last = new Map<string, RawChannel>();
  const streams = new Set<ReturnType<typeof setInterval>>();
  const paths = new Map<RawChannel, Map<number, string>>();
  const machine = await startRawMachine(({ stream, type }, channel) => {
    const id = Number(stream!.id);
    const send = (...frames: Uint8Array[]) => {
      const write = () => frames.forEach((frame) => void channel.send(frame));
      const waiting = full.get(channel);
      if (waiting === undefined) write();
      else waiting.push(write);
    };
    const known = paths.get(channel) ?? new Map<number, string>();
    paths.set(channel, known);
    if (type.case === "headers") {
      known.set(id, type.value.method);
      last.set(type.value.method, channel);
    }
    const path = known.get(id) ?? "";
    if (type.case === "headers" && path === QUESTION_METHOD) {
      send(answer.headers(id), answer.trailers(id, Code.Canceled));
    } else if (type.case === "headers" && path.endsWith("/Download")) {
      void channel.send(answer.headers(id));
      full.set(channel, full.get(channel) ?? []);
      streams.add(setInterval(() => void channel.send(answer.packet(id, image)), 50));
    } else if (type.case === "message" && path.endsWith("/Echo")) {
      send(answer.headers(id), answer.packet(id, new Uint8Array(0)), answer.trailers(id));
    }
  });
  return {
    machine,
    channelOf: (method: string) => last.get(`/viam_dial.probe.v1.ProbeService/${method}`),
    /** Sends what waits, and lets nothing wait any more. */
    drain() {
      const waiting = [...full.values()].flat();
      full.clear();
      for (const write of waiting) write();
    },
    async [Symbol.asyncDispose]() {
      for (const stream of streams) clearInterval(stream);
      await machine[Symbol.asyncDispose]();
    },
  };
}

/** Reads a download until it ends, which is with the channel. */
function download(channel: ViamChannel): Promise<unknown> {
  const read = async () => {
    for await (const _ of createClient(ProbeService, channel).download({}));
  };
  return read().catch((error) => error);
}

test("a channel whose bulk data keeps small calls waiting makes a second connection for them", async () => {
  await using full = await startFullMachine();
  const { machine } = full;
  const events: string[] = [];
  const options = { insecure: true, mdns: false };
  await using channel = await dial(machine.address, {
    ...options,
    onEvent: ({ type }) => type === "progress" || events.push(type),
  });
  const probe = createClient(ProbeService, channel);
  const downloads = [download(channel)];
  await until(() => channel.getStats().bulkConnection !== undefined);
  const first = full.channelOf("Download")!;
  await probe.echo({});
  const second = full.channelOf("Echo")!;
  assert.notEqual(second, first);
  // A method of bulk data goes where its data is.
  const frames = first.received.length;
  downloads.push(download(channel));
  await until(() => first.received.length > frames);
  // With the second connection only its own calls are lost.
  void second.peer.close();
  full.drain();
  await until(() => channel.getStats().bulkConnection === undefined);
  await probe.echo({});
  assert.deepEqual([events, channel.state], [["connecting", "connected"], "connected"]);
  assert.equal(full.channelOf("Echo"), first);
  await channel.close();
  for (const error of await Promise.all(downloads)) {
    assert.equal(ConnectError.from(error).code, Code.Unavailable);
  }
});

test("webrtc.separateBulk: false keeps a channel on one connection", async () => {
  await using full = await startFullMachine();
  await using channel = await dial(full.machine.address, {
    insecure: true,
    mdns: false,
    webrtc: { separateBulk: false },
  });
  const downloading = download(channel);
  // As much as divides a channel, and then some.
  await until(() => channel.getStats().messages.received >= 40);
  const asked = full.channelOf("Echo");
  void createClient(ProbeService, channel).echo({}).catch(() => {});
  await until(() => full.channelOf("Echo") !== asked);
  assert.equal(full.channelOf("Echo"), full.channelOf("Download"));
  assert.equal(channel.getStats().bulkConnection, undefined);
  await channel.close();
  await downloading;
});
