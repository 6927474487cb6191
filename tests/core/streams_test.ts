import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { ClientStreams, type StreamListener } from "../../lib/core/channel/client_streams.ts";
import { MAX_MESSAGE_BYTES } from "../../lib/core/limits.ts";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import {
  decodeRequest,
  encodeResponseHeaders,
  encodeResponsePacket,
  encodeTrailers,
} from "../../lib/core/channel/packet.ts";
import { type IncomingListener, ServerStreams } from "../../lib/core/channel/server_streams.ts";
import { test } from "../harness.ts";

interface Heard {
  readonly events: string[];
  readonly messages: Uint8Array[];
  error: ConnectError | undefined;
  readonly listener: StreamListener;
}

function hear(): Heard {
  const heard: Heard = {
    events: [],
    messages: [],
    error: undefined,
    listener: {
      headers: () => heard.events.push("headers"),
      message: (bytes) => {
        heard.events.push(`message ${bytes.length}`);
        heard.messages.push(bytes);
      },
      end: ({ error }) => {
        heard.events.push(error === undefined ? "end" : `end ${Code[error.code]}`);
        heard.error = error;
      },
    },
  };
  return heard;
}

function framesOf(streams: ClientStreams | ServerStreams): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let frame = streams.queue.next(); frame !== undefined; frame = streams.queue.next()) {
    frames.push(frame);
  }
  return frames;
}

function open(streams: ClientStreams, heard: Heard, path = "/x.Y/Z"): number {
  return streams.open({ path, metadata: new Metadata(), timeoutMs: undefined }, heard.listener);
}

function client(maxMessageBytes = MAX_MESSAGE_BYTES, packetBytes?: number): ClientStreams {
  return new ClientStreams({ maxMessageBytes, ...(packetBytes === undefined ? {} : { packetBytes }) });
}

const none = new Metadata();

test(
  "ClientStreams sends an urgent call ahead of the messages of others, and in order with their headers",
  () => {
    const streams = client(MAX_MESSAGE_BYTES, 10);
    const heard = hear();
    const [bulk, late] = [open(streams, heard), open(streams, heard)];
    streams.send(bulk, new Uint8Array(30), true);
    streams.queue.next();
    const urgent = streams.open(
      { path: "/x.Y/Z", metadata: none, timeoutMs: undefined, urgent: true },
      heard.listener,
    );
    streams.send(urgent, new Uint8Array(10), true);
    streams.send(late, new Uint8Array(1), false);
    const frames = framesOf(streams).map((frame) => decodeRequest(frame));
    assert.deepEqual(frames.map(({ stream, kind }) => [stream, kind]), [
      [late, "headers"],
      [urgent, "headers"],
      [urgent, "message"],
      [bulk, "message"],
      [late, "message"],
      [bulk, "message"],
      [bulk, "message"],
    ]);
    // What takes more than a packet takes turns like any other.
    const large = streams.open(
      { path: "/x.Y/Z", metadata: none, timeoutMs: undefined, urgent: true },
      heard.listener,
    );
    streams.send(large, new Uint8Array(11), true);
    assert.equal(framesOf(streams).length, 3);
  },
  { pure: true },
);

test("ClientStreams delivers headers, messages and trailers", () => {
  const streams = client();
  const heard = hear();
  const id = open(streams, heard);
  streams.receive(encodeResponseHeaders(id, none));
  streams.receive(encodeResponsePacket(id, Uint8Array.of(1, 2), false));
  streams.receive(encodeResponsePacket(id, Uint8Array.of(3), true));
  streams.receive(encodeTrailers(id, undefined, none));
  assert.deepEqual(heard.events, ["headers", "message 3", "end"]);
  assert.deepEqual(heard.messages[0], Uint8Array.of(1, 2, 3));
  assert.equal(streams.size, 0);
}, { pure: true });

test("ClientStreams accepts trailers alone, and an empty last packet", () => {
  const streams = client();
  const alone = hear();
  streams.receive(encodeTrailers(open(streams, alone), new ConnectError("no", Code.NotFound), none));
  assert.deepEqual(alone.events, ["end NotFound"]);
  const heard = hear();
  const id = open(streams, heard);
  streams.receive(encodeResponseHeaders(id, none));
  streams.receive(encodeResponsePacket(id, Uint8Array.of(1), false));
  streams.receive(encodeResponsePacket(id, new Uint8Array(0), true));
  streams.receive(encodeResponsePacket(id, new Uint8Array(0), true));
  assert.deepEqual(heard.events, ["headers", "message 1", "message 0"]);
}, { pure: true });

const broken: readonly [title: string, frames: (id: number) => Uint8Array[], code: Code][] = [
  [
    "headers twice",
    (id) => [encodeResponseHeaders(id, none), encodeResponseHeaders(id, none)],
    Code.Internal,
  ],
  ["a message before headers", (id) => [encodeResponsePacket(id, Uint8Array.of(1), true)], Code.Internal],
  [
    "a message frame without a packet",
    (id) => [encodeResponseHeaders(id, none), Uint8Array.of(0x0a, 2, 8, id, 0x1a, 0)],
    Code.Internal,
  ],
  ["a frame of an unknown type", (id) => [Uint8Array.of(0x0a, 2, 8, id)], Code.Internal],
  [
    "a message over the limit",
    (id) => [encodeResponseHeaders(id, none), encodeResponsePacket(id, new Uint8Array(101), true)],
    Code.ResourceExhausted,
  ],
  [
    "a message over the limit in packets",
    (id) => [
      encodeResponseHeaders(id, none),
      encodeResponsePacket(id, new Uint8Array(60), false),
      encodeResponsePacket(id, new Uint8Array(60), false),
    ],
    Code.ResourceExhausted,
  ],
];

for (const [title, frames, code] of broken) {
  test(`ClientStreams gives up one stream, and only that, on ${title}`, () => {
    const streams = client(100);
    const heard = hear();
    const other = hear();
    const id = open(streams, heard);
    const otherId = open(streams, other);
    framesOf(streams);
    for (const frame of frames(id)) streams.receive(frame);
    assert.equal(heard.error?.code, code);
    const sent = framesOf(streams).map(decodeRequest);
    assert.deepEqual(sent, [{ kind: "reset", stream: id }]);
    streams.receive(encodeResponseHeaders(otherId, none));
    streams.receive(encodeTrailers(otherId, undefined, none));
    assert.deepEqual(other.events, ["headers", "end"]);
    // Later frames for the failed stream are dropped.
    streams.receive(encodeResponsePacket(id, Uint8Array.of(1), true));
    assert.equal(heard.events.filter((event) => event.startsWith("end")).length, 1);
  }, { pure: true });
}

test("ClientStreams drops garbage and frames of unknown streams", () => {
  const streams = client();
  const heard = hear();
  const id = open(streams, heard);
  streams.receive(Uint8Array.of(0xff, 0xff, 0xff));
  streams.receive(new Uint8Array(0));
  streams.receive(encodeResponseHeaders(77, none));
  assert.deepEqual(streams.dropped, { malformed: 2, unknownStream: 1 });
  streams.receive(encodeResponseHeaders(id, none));
  assert.deepEqual(heard.events, ["headers"]);
}, { pure: true });

test("ClientStreams ends a call that stops in the middle of a message", () => {
  const streams = client();
  const heard = hear();
  const id = open(streams, heard);
  streams.receive(encodeResponseHeaders(id, none));
  streams.receive(encodeResponsePacket(id, Uint8Array.of(1), false));
  streams.receive(encodeTrailers(id, undefined, none));
  assert.deepEqual(heard.events, ["headers", "end Internal"]);
}, { pure: true });

test("ClientStreams ends every call when the connection is lost", () => {
  const streams = client();
  const calls = [hear(), hear(), hear()];
  for (const heard of calls) streams.send(open(streams, heard), new Uint8Array(200_000), true);
  streams.fail(new ConnectError("gone", Code.Unavailable));
  for (const heard of calls) assert.deepEqual(heard.events, ["end Unavailable"]);
  assert.equal(streams.size, 0);
  assert.ok(streams.queue.empty);
}, { pure: true });

test("ClientStreams resets an open call once, and drops what it has queued", () => {
  const streams = client();
  const heard = hear();
  const id = open(streams, heard);
  streams.send(id, new Uint8Array(300_000), true);
  assert.equal(decodeRequest(streams.queue.next()!).kind, "headers");
  assert.equal(decodeRequest(streams.queue.next()!).kind, "message");
  streams.reset(id);
  streams.reset(id);
  assert.deepEqual(framesOf(streams).map(decodeRequest), [{ kind: "reset", stream: id }]);
  const done = hear();
  const finished = open(streams, done);
  framesOf(streams);
  streams.receive(encodeTrailers(finished, undefined, none));
  streams.reset(finished);
  assert.deepEqual(framesOf(streams), []);
}, { pure: true });

test(
  "ClientStreams cuts messages into packets, never ends with an empty one, and half-closes with the last",
  () => {
    for (const [size, packets] of [[0, [0]], [1, [1]], [10, [10]], [11, [10, 1]], [20, [10, 10]]] as const) {
      const streams = client(undefined, 10);
      const id = open(streams, hear());
      streams.send(id, new Uint8Array(size), true);
      const frames = framesOf(streams).map(decodeRequest).slice(1);
      assert.deepEqual(
        frames.map((frame) =>
          frame.kind === "message" && [frame.data?.length, frame.endOfMessage, frame.endOfStream]
        ),
        packets.map((bytes, index) => [bytes, index === packets.length - 1, index === packets.length - 1]),
      );
    }
  },
  { pure: true },
);

test("SendQueue lets streams take turns, and control frames go first", () => {
  const streams = client(undefined, 10);
  const large = open(streams, hear());
  const small = open(streams, hear());
  framesOf(streams);
  streams.send(large, new Uint8Array(50), true);
  assert.deepEqual(order(streams, 2), [`message ${large}`, `message ${large}`]);
  streams.send(small, new Uint8Array(5), false);
  const third = open(streams, hear());
  assert.deepEqual(order(streams, 4), [
    `headers ${third}`,
    `message ${large}`,
    `message ${small}`,
    `message ${large}`,
  ]);
}, { pure: true });

function order(streams: ClientStreams, count: number): string[] {
  return Array.from({ length: count }, () => {
    const frame = decodeRequest(streams.queue.next()!);
    return `${frame.kind} ${frame.stream}`;
  });
}

test("ten thousand calls leave nothing behind", () => {
  const streams = client();
  for (let round = 0; round < 10_000; round++) {
    const id = open(streams, hear());
    streams.send(id, Uint8Array.of(1), true);
    framesOf(streams);
    streams.receive(encodeResponseHeaders(id, none));
    streams.receive(encodeTrailers(id, undefined, none));
  }
  assert.equal(streams.size, 0);
  assert.ok(streams.queue.empty);
}, { pure: true });

interface Served {
  readonly streams: ServerStreams;
  readonly events: string[];
}

function server(maxMessageBytes = 100): Served {
  const events: string[] = [];
  const streams = new ServerStreams({
    maxMessageBytes,
    open: ({ stream, path }): IncomingListener => {
      events.push(`open ${stream} ${path}`);
      return {
        message: (bytes) => events.push(`message ${bytes.length}`),
        halfClosed: () => events.push("half-closed"),
        aborted: (reason) => events.push(`aborted ${Code[reason.code]}`),
      };
    },
  });
  return { streams, events };
}

/** The frames that the client writes for one call, as the server receives them. */
test("ServerStreams and ClientStreams understand each other", () => {
  const { streams, events } = server(1_000_000);
  const caller = client(undefined, 1_000);
  const heard = hear();
  const id = open(caller, heard, "/p.S/M");
  caller.send(id, new Uint8Array(2_500), false);
  caller.halfClose(id);
  for (const frame of framesOf(caller)) streams.receive(frame);
  assert.deepEqual(events, ["open 1 /p.S/M", "message 2500", "half-closed"]);
  streams.sendHeaders(id, none);
  streams.sendMessage(id, new Uint8Array(150_000));
  streams.sendTrailers(id, new ConnectError("late", Code.Aborted), none);
  for (const frame of framesOf(streams)) caller.receive(frame);
  assert.deepEqual(heard.events, ["headers", "message 150000", "end Aborted"]);
  assert.equal(streams.size, 0);
}, { pure: true });

test("ClientStreams refuses a stream whose headers exceed a frame, and the others go on", () => {
  const streams = client();
  const metadata = new Metadata([["x-large", "x".repeat(70_000)]]);
  assert.throws(
    () => streams.open({ path: "/x.Y/Z", metadata, timeoutMs: undefined }, hear().listener),
    (error) => error instanceof ConnectError && error.code === Code.ResourceExhausted,
  );
  assert.throws(
    () => streams.open({ path: "/x.Y/Z", metadata: none, timeoutMs: () => NaN }, hear().listener),
    RangeError,
  );
  assert.equal(streams.size, 0);
  assert.deepEqual(framesOf(streams), []);
  const heard = hear();
  streams.receive(encodeTrailers(open(streams, heard), undefined, none));
  assert.deepEqual(heard.events, ["end"]);
}, { pure: true });

test("ServerStreams ends a call with ResourceExhausted when headers or trailers exceed a frame", () => {
  const large = new Metadata([["x-large", "x".repeat(70_000)]]);
  const endings: readonly ((streams: ServerStreams, id: number) => void)[] = [
    (streams, id) => streams.sendTrailers(id, undefined, large),
    (streams, id) => streams.sendTrailers(id, undefined, none, large),
    (streams, id) => streams.sendTrailers(id, new ConnectError("x".repeat(70_000), Code.Aborted), none),
    (streams, id) => {
      assert.throws(() => streams.sendHeaders(id, large), /headers of this call take/);
      streams.sendTrailers(id, new ConnectError("no", Code.ResourceExhausted), none, large);
    },
  ];
  for (const end of endings) {
    const caller = client();
    const { streams } = server();
    const heard = hear();
    const id = open(caller, heard, "/p.S/M");
    for (const frame of framesOf(caller)) streams.receive(frame);
    end(streams, id);
    for (const frame of framesOf(streams)) caller.receive(frame);
    assert.deepEqual(heard.events, ["headers", "end ResourceExhausted"]);
    assert.equal(streams.size, 0);
  }
}, { pure: true });

test("ServerStreams ends a call with Internal when its status cannot be encoded", () => {
  const caller = client();
  const { streams } = server();
  const heard = hear();
  const id = open(caller, heard, "/p.S/M");
  for (const frame of framesOf(caller)) streams.receive(frame);
  streams.sendTrailers(id, new ConnectError("no code at all", 1.5 as Code), none);
  for (const frame of framesOf(streams)) caller.receive(frame);
  assert.deepEqual(heard.events, ["headers", "end Internal"]);
}, { pure: true });

const HEADERS = "0a0208011209" + "0a072f702e532f4d31"; // stream 1, "/p.S/M1"

const halfCloses: readonly [title: string, frames: string[], events: string[]][] = [
  ["on the data frame (Go)", ["0a0208011a0c080112060a02010210011801"], ["message 2", "half-closed"]],
  ["bare (Rust)", ["0a0208011a0a080112060a0201021001", "0a0208011a021801"], ["message 2", "half-closed"]],
  [
    "with an empty packet (TypeScript)",
    ["0a0208011a0a080112060a0201021001", "0a0208011a06120210011801"],
    ["message 2", "half-closed"],
  ],
  [
    "on every packet of a message (Go)",
    ["0a0208011a0a080112040a0201021801", "0a0208011a0c080112060a02030410011801"],
    ["message 4", "half-closed"],
  ],
];

for (const [title, frames, expected] of halfCloses) {
  test(`ServerStreams accepts a half-close ${title}`, () => {
    const { streams, events } = server();
    for (const hex of [HEADERS, ...frames]) {
      streams.receive(Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16)));
    }
    assert.deepEqual(events, ["open 1 /p.S/M1", ...expected]);
  }, { pure: true });
}
